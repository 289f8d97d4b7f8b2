{{/*
Contradictions between values that the schema can not see: each ends in one sentence that names the cure.
*/}}
{{- define "image-registry.validate" -}}
{{- $config := .Values.config -}}
{{- $claim := include "image-registry.storageIsClaim" . -}}
{{- $emptyDir := include "image-registry.storageIsEmptyDir" . -}}
{{- $replicas := int $config.replicas -}}
{{- if eq .Release.Namespace "kube-system" -}}
{{- fail "the release is for namespace kube-system, where the platform keeps a registry of its own: install with --namespace image-registry-system --create-namespace" -}}
{{- end -}}
{{- if eq $config.managementState "Unmanaged" -}}
{{- fail "config.managementState is Unmanaged, which tells the operator to leave the release alone: with Helm use Managed, or simply do not upgrade" -}}
{{- end -}}
{{- if and $claim $emptyDir -}}
{{- fail "config.storage has both pvc and emptyDir: keep one and set the other to null (config.storage.pvc: null for emptyDir)" -}}
{{- end -}}
{{- if not (or $claim $emptyDir) -}}
{{- fail "config.storage names no storage: set config.storage.pvc for images that last, or config.storage.emptyDir: {} for a test" -}}
{{- end -}}
{{- if and $emptyDir (gt $replicas 1) -}}
{{- fail (printf "config.replicas is %d but config.storage.emptyDir belongs to one Pod: set config.replicas to 1, or use a ReadWriteMany claim" $replicas) -}}
{{- end -}}
{{- if and $claim (gt $replicas 1) (not (include "image-registry.storageIsShared" .)) -}}
{{- fail (printf "config.replicas is %d but config.storage.pvc.accessMode is %s, which one node can mount: set config.replicas to 1, or use a StorageClass with config.storage.pvc.accessMode ReadWriteMany" $replicas $config.storage.pvc.accessMode) -}}
{{- end -}}
{{- if and (eq $config.rolloutStrategy "RollingUpdate") (not (include "image-registry.storageIsShared" .)) -}}
{{- fail "config.rolloutStrategy is RollingUpdate, but the old Pod holds the storage that the new one waits for: set config.rolloutStrategy to Recreate or leave it empty, or use a ReadWriteMany claim" -}}
{{- end -}}
{{- $database := $config.metadata.postgresql -}}
{{- $managed := include "image-registry.bundledDatabase" . -}}
{{- if and $managed $database.secretName -}}
{{- fail "config.metadata.postgresql has both managed and secretName: set config.metadata.postgresql.managed to null for the external database, or leave secretName empty" -}}
{{- end -}}
{{- if not (or $managed $database.secretName) -}}
{{- fail "config.metadata.postgresql names no database: set secretName to the Secret of an external PostgreSQL, or managed: {} for the bundled one" -}}
{{- end -}}
{{- if and $config.defaultRoute (not $config.routeDefaults.domain) -}}
{{- fail "config.defaultRoute is true but the host would have no domain: set config.routeDefaults.domain to the domain of the cluster's Ingress" -}}
{{- end -}}
{{- $seen := dict -}}
{{- if $config.defaultRoute -}}{{- $_ := set $seen "default-route" true -}}{{- end -}}
{{- range $config.routes -}}
{{- if hasKey $seen .name -}}
{{- fail (printf "config.routes has the name %s twice (default-route is taken while config.defaultRoute is true): each route needs a name of its own" .name) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- range list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/part-of" -}}
{{- if hasKey $.Values.commonLabels . -}}
{{- fail (printf "commonLabels sets %s, which selectors of this chart use: choose a label key of your own" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
