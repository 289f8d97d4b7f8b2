{{/*
Image references: registry/repository:tag@digest, with one value that sends all of them to a mirror.
Argument: dict "root" $ "image" <values> and, optionally, "defaultTag".
*/}}
{{- define "image-registry.reference" -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry -}}
{{- $tag := .image.tag -}}
{{- if and (not $tag) (not .image.digest) -}}{{- $tag = .defaultTag -}}{{- end -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "image-registry.image" -}}
image: {{ include "image-registry.reference" (dict "root" . "image" .Values.image "defaultTag" .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{- define "image-registry.postgresqlImage" -}}
image: {{ include "image-registry.reference" (dict "root" . "image" .Values.postgresql.image) | quote }}
imagePullPolicy: {{ .Values.postgresql.image.pullPolicy }}
{{- end -}}

{{- define "image-registry.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
