{{/*
What makes and renews keys, certificates and passwords, in two steps that hook Jobs and the CronJob share: before the
servers, `bootstrap secrets`; after them, `bootstrap api-service`, by which kube-apiserver learns the CA.
*/}}

{{- define "image-registry.secretsRules" -}}
- apiGroups: [""]
  resources: ["configmaps", "secrets"]
  verbs: ["create"]
- apiGroups: [""]
  resources: ["configmaps"]
  resourceNames: ["image-registry-ca"]
  verbs: ["get", "patch", "update"]
- apiGroups: [""]
  resources: ["secrets"]
  resourceNames:
    - image-api-server-tls
    - image-registry-ca
    - image-registry-db
    - image-registry-db-tls
    - image-registry-tls
    - image-registry-token-keys
  verbs: ["get", "patch", "update"]
{{- end -}}

{{- define "image-registry.secretsArguments" -}}
- bootstrap
- secrets
- --namespace={{ .Release.Namespace }}
{{- if .Values.config.certificates.issuerRef.name }}
- --issued
{{- end }}
{{- with include "image-registry.externalHostnames" . }}
{{- range splitList "," . }}
- --hostname={{ . }}
{{- end }}
{{- end }}
{{- range .Values.bootstrap.extraHostnames }}
- --hostname={{ . }}
{{- end }}
{{- end -}}

{{- define "image-registry.apiServiceRules" -}}
- apiGroups: [""]
  resources: ["configmaps"]
  resourceNames: ["image-registry-ca"]
  verbs: ["get"]
{{- end -}}

{{- define "image-registry.apiServiceClusterRules" -}}
- apiGroups: ["apiregistration.k8s.io"]
  resources: ["apiservices"]
  resourceNames: ["v1.image.alauda.io"]
  verbs: ["get", "patch", "update"]
{{- end -}}

{{/* Argument: dict "root" "timeout". */}}
{{- define "image-registry.apiServiceArguments" -}}
- bootstrap
- api-service
- --namespace={{ .root.Release.Namespace }}
- --timeout={{ .timeout }}
{{- end -}}

{{/* Argument: dict "root" "name" "args". */}}
{{- define "image-registry.bootstrapContainer" -}}
- name: {{ .name }}
  {{- include "image-registry.image" .root | nindent 2 }}
  args:
    {{- .args | nindent 4 }}
  {{- with .root.Values.bootstrap.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "image-registry.securityContext" . | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
{{- end -}}
