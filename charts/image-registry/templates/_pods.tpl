{{/*
What the Pods have in common: the restricted Pod Security profile, placement, graceful ends.
*/}}

{{/* Pod level; argument: the numeric user, which is the group as well. */}}
{{- define "image-registry.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Container level. */}}
{{- define "image-registry.securityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
readOnlyRootFilesystem: true
{{- end -}}

{{/*
Spread where possible, never at the price of not running; Pods of an old revision do not count, or a rollout would end
with both new ones on one node. Argument: dict "root" "name" "constraints".
*/}}
{{- define "image-registry.spread" -}}
topologySpreadConstraints:
{{- if .constraints }}
  {{- toYaml .constraints | nindent 2 }}
{{- else }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "image-registry.selectorLabels" $ | nindent 8 }}
    matchLabelKeys:
      - pod-template-hash
{{- end }}
{{- end }}
{{- end -}}

{{/* Placement by the four usual values, on Linux in any case; argument: a map that holds them. */}}
{{- define "image-registry.placement" -}}
nodeSelector:
  {{- toYaml (merge (dict) (.nodeSelector | default dict) (dict "kubernetes.io/os" "linux")) | nindent 2 }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Stay reachable until every proxy has heard that the Pod leaves. Argument: seconds. */}}
{{- define "image-registry.drain" -}}
lifecycle:
  preStop:
    exec:
      command: ["sleep", {{ . | toString | quote }}]
{{- end -}}

{{/* What running requests get of a Pod's last seconds: kubelet counts the drain in, and a process needs a few to end. */}}
{{- define "image-registry.gracefulEnv" -}}
- name: REGISTRY_HTTP_GRACEFUL_TIMEOUT
  value: {{ max 1 (sub (int .seconds) (add (int .drain) 5)) | quote }}
{{- end -}}

{{/* Probes over HTTPS; liveness asks only the process itself. Argument: dict "port" "readiness". */}}
{{- define "image-registry.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: {{ .port }}
    scheme: HTTPS
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
readinessProbe:
  httpGet:
    path: {{ .readiness }}
    port: {{ .port }}
    scheme: HTTPS
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  httpGet:
    path: /livez
    port: {{ .port }}
    scheme: HTTPS
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* Settings that both servers read. */}}
{{- define "image-registry.serverEnv" -}}
- name: REGISTRY_AUTH
  value: cluster
- name: REGISTRY_INTERNAL_HOSTNAME
  value: {{ include "image-registry.internalHostname" . | quote }}
- name: REGISTRY_IMPORTS
  value: {{ omit .Values.config.imports "pullSecrets" | toJson | quote }}
{{- with .Values.config.proxy }}
{{- if or .http .https }}
{{- range $name, $value := dict "HTTP" .http "HTTPS" .https "NO_PROXY" .noProxy }}
{{- if $value }}
- name: REGISTRY_PROXY_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- if .secretName }}
- name: REGISTRY_PROXY_CREDENTIALS
  value: /etc/image-registry/proxy
{{- end }}
{{- end }}
{{- end }}
- name: REGISTRY_LOG_LEVEL
  value: {{ .Values.config.logLevel }}
- name: REGISTRY_ACCESS_LOG
  value: {{ .Values.registry.accessLog }}
- name: REGISTRY_AUDIT
  value: {{ .Values.registry.audit }}
- name: REGISTRY_HTTP_TLS_CERTIFICATE
  value: /etc/image-registry/tls/tls.crt
- name: REGISTRY_HTTP_TLS_KEY
  value: /etc/image-registry/tls/tls.key
{{- end -}}

{{/* Credentials of the proxies. */}}
{{- define "image-registry.proxyVolume" -}}
{{- with (.Values.config.proxy).secretName }}
- name: proxy
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "image-registry.proxyMount" -}}
{{- if (.Values.config.proxy).secretName }}
- name: proxy
  mountPath: /etc/image-registry/proxy
  readOnly: true
{{- end }}
{{- end -}}
