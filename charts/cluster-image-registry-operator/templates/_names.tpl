{{- define "operator.name" -}}
cluster-image-registry-operator
{{- end -}}

{{/* What the selector uses and nothing else: it may never change. */}}
{{- define "operator.selectorLabels" -}}
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/name: {{ include "operator.name" . }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: image-registry
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "operator.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- .Values.image.repository -}}
{{- if .Values.image.digest -}}
@{{ .Values.image.digest }}
{{- else -}}
:{{ .Values.image.tag | default (.Chart.AppVersion | replace "+" "_") }}
{{- end -}}
{{- end -}}

{{/* The operand's values, with what both charts share. */}}
{{- define "operator.operandValues" -}}
{{- $shared := pick .Values.global "imageRegistry" "imagePullSecrets" -}}
{{- toYaml (mergeOverwrite (dict "global" $shared) (deepCopy .Values.operand)) -}}
{{- end -}}

{{/* Names of cluster-wide objects of the operand, with the namespace where they have one. */}}
{{- define "operator.clusterRoles" -}}
- image.alauda.io:edit
- image.alauda.io:view
- system:image-deleter
- system:image-pruner
- system:image-puller
- system:image-pusher
- system:image-registry-catalog-reader
- system:image-registry-metrics-reader
- system:image-signature-writer
{{- range list "access-watcher" "image-registry-bootstrap-api-service" "image-registry-certificates" "image-triggers" "import-credentials" "limit-lister" "limit-reader" "namespace-reader" "pruner" "pull-secret-reader" }}
- {{ $.Release.Namespace }}:{{ . }}
{{- end }}
{{- end -}}

{{- define "operator.clusterRoleBindings" -}}
{{- range list "image-api-server:access-watcher" "image-api-server:auth-delegator" "image-api-server:limit-lister" "image-api-server:namespace-reader" "image-registry-bootstrap-api-service" "image-registry-certificates" "image-triggers" "metrics-readers" "pruner" "pruner:image-pruner" "pull-secret-reader" "registry:access-watcher" "registry:auth-delegator" "registry:import-credentials" "registry:limit-reader" "registry:namespace-reader" }}
- {{ $.Release.Namespace }}:{{ . }}
{{- end }}
{{- end -}}
