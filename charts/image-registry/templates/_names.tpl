{{/*
Names and labels. Object names are a contract with tools and people (kubectl, the operator, the Ansible collection),
so they do not depend on the release's name: there is one registry per cluster.
*/}}

{{- define "image-registry.component" -}}
{{- $components := dict "image-registry" "registry" "image-api-server" "api-server" "image-triggers" "triggers" "image-pruner" "pruner" "image-registry-db" "database" "node-ca" "node-ca" "image-registry-bootstrap" "bootstrap" "image-registry-certificates" "certificates" "image-registry-test" "test" -}}
{{- get $components . | required (printf "no component is known for %s" .) -}}
{{- end -}}

{{/* What selectors use and nothing else: it may never change. Argument: dict "root" $ "name" <workload>. */}}
{{- define "image-registry.selectorLabels" -}}
app.kubernetes.io/component: {{ include "image-registry.component" .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/name: {{ .name }}
{{- end -}}

{{/* Labels of a Pod: without versions, so that a chart upgrade alone restarts nothing. */}}
{{- define "image-registry.podLabels" -}}
{{- $own := include "image-registry.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "image-registry" -}}
{{- toYaml (merge $own .root.Values.commonLabels) -}}
{{- end -}}

{{/* Labels of an object. */}}
{{- define "image-registry.labels" -}}
{{- $own := include "image-registry.podLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_") -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- toYaml $own -}}
{{- end -}}

{{/* True text while the servers are wanted. */}}
{{- define "image-registry.managed" -}}
{{- if ne .Values.config.managementState "Removed" }}true{{ end -}}
{{- end -}}

{{/* The registry's address inside of the cluster. */}}
{{- define "image-registry.internalHostname" -}}
image-registry.{{ .Release.Namespace }}.svc:5000
{{- end -}}
