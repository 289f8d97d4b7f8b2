{{/*
Names under which the registry is reached from outside of the cluster.
*/}}

{{- define "image-registry.defaultRouteHost" -}}
default-route-{{ .Release.Namespace }}.{{ .Values.config.routeDefaults.domain }}
{{- end -}}

{{/* All of them, the default route first, joined by commas. */}}
{{- define "image-registry.externalHostnames" -}}
{{- $names := list -}}
{{- if .Values.config.defaultRoute -}}{{- $names = append $names (include "image-registry.defaultRouteHost" .) -}}{{- end -}}
{{- range .Values.config.routes -}}{{- with .hostname -}}{{- $names = append $names . -}}{{- end -}}{{- end -}}
{{- $names | uniq | join "," -}}
{{- end -}}

{{/* One Ingress; argument: dict "root" "name" "host" and optionally "secretName" "ingressClassName" "annotations". */}}
{{- define "image-registry.ingress" -}}
{{- $defaults := .root.Values.config.routeDefaults -}}
{{- $upload := dict "nginx.ingress.kubernetes.io/backend-protocol" "HTTPS" "nginx.ingress.kubernetes.io/proxy-body-size" "0" "nginx.ingress.kubernetes.io/proxy-request-buffering" "off" "nginx.ingress.kubernetes.io/proxy-read-timeout" "900" "nginx.ingress.kubernetes.io/proxy-send-timeout" "900" -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "image-registry.labels" (dict "root" .root "name" "image-registry") | nindent 4 }}
  annotations:
    {{- toYaml (merge (dict) (.annotations | default dict) $defaults.annotations $upload) | nindent 4 }}
spec:
  {{- with .ingressClassName | default $defaults.ingressClassName }}
  ingressClassName: {{ . }}
  {{- end }}
  rules:
    - host: {{ .host | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: image-registry
                port:
                  name: 5000-tcp
  tls:
    - hosts:
        - {{ .host | quote }}
      {{- with .secretName }}
      secretName: {{ . }}
      {{- end }}
{{- end -}}
