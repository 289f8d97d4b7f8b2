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
{{- if and .Values.deleteStorage (ne $config.managementState "Removed") -}}
{{- fail "deleteStorage is true but config.managementState is not Removed: set deleteStorage to false, the registry needs its storage" -}}
{{- end -}}
{{- $kinds := splitList " " (include "image-registry.storageKinds" .) -}}
{{- if gt (len $kinds) 1 -}}
{{- fail (printf "config.storage has both %s and %s, and exactly one storage type can be configured: keep one and set the other to null (config.storage.%s: null for %s)" (first $kinds) (index $kinds 1) (first $kinds) (index $kinds 1)) -}}
{{- end -}}
{{- if not (first $kinds) -}}
{{- fail "config.storage names no storage: set config.storage.pvc or an object store (s3, gcs, azure, swift, ibmcos, oss) for images that last, or config.storage.emptyDir: {} for a test" -}}
{{- end -}}
{{- with $config.storage.s3 -}}
{{- if and .keyID (not .encrypt) -}}
{{- fail "config.storage.s3.keyID names a key but config.storage.s3.encrypt is not true: set config.storage.s3.encrypt to true, or remove the key" -}}
{{- end -}}
{{- if and .skipVerify (dig "trustedCA" "name" "" .) -}}
{{- fail "config.storage.s3.skipVerify makes config.storage.s3.trustedCA useless: use one of them, best trustedCA" -}}
{{- end -}}
{{- end -}}
{{- with $config.storage.oss -}}
{{- if and (eq (dig "encryption" "method" "" .) "KMS") (not (dig "encryption" "kms" "keyID" "" .)) -}}
{{- fail "config.storage.oss.encryption.method is KMS but no key is named: set config.storage.oss.encryption.kms.keyID, or use AES256" -}}
{{- end -}}
{{- end -}}
{{- if and $emptyDir (gt $replicas 1) -}}
{{- fail (printf "config.replicas is %d but config.storage.emptyDir belongs to one Pod: set config.replicas to 1, or use a ReadWriteMany claim or an object store" $replicas) -}}
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
{{- $hosts := dict -}}
{{- range (include "image-registry.routes" . | fromYaml).routes -}}
{{- if hasKey $hosts .hostname -}}
{{- fail (printf "config.routes has the host %s twice (the default route counts): set a host of its own for each route" .hostname) -}}
{{- end -}}
{{- $_ := set $hosts .hostname true -}}
{{- end -}}
{{- range list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/part-of" -}}
{{- if hasKey $.Values.commonLabels . -}}
{{- fail (printf "commonLabels sets %s, which selectors of this chart use: choose a label key of your own" .) -}}
{{- end -}}
{{- end -}}
{{- range $name, $server := dict "registry" .Values.registry "apiServer" .Values.apiServer -}}
{{- if ge (int $server.preStopSeconds) (int $server.terminationGracePeriodSeconds) -}}
{{- fail (printf "%s.preStopSeconds is %d but %s.terminationGracePeriodSeconds is %d, so every Pod would be killed while it drains: set the second to at least ten seconds more" $name (int $server.preStopSeconds) $name (int $server.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- end -}}
{{- include "image-registry.validateClaims" . -}}
{{- end -}}

{{/*
What Kubernetes forbids to change in a running cluster, said before anything of an upgrade has happened. Without a cluster
(helm template, a client-side dry run) nothing is found and nothing is checked.
*/}}
{{- define "image-registry.validateClaims" -}}
{{- /* Helm deletes what leaves a release; the operator and the collection tell the claim to stay before they change the storage */ -}}
{{- $own := and (include "image-registry.storageIsClaim" .) (not (dig "claim" "" (.Values.config.storage.pvc | default dict))) -}}
{{- if and .Release.IsUpgrade (not $own) (not .Values.deleteStorage) -}}
{{- $left := lookup "v1" "PersistentVolumeClaim" .Release.Namespace "image-registry-storage" -}}
{{- $notes := dig "metadata" "annotations" dict $left -}}
{{- if and (eq (dig "meta.helm.sh/release-name" "" $notes) .Release.Name) (ne (dig "helm.sh/resource-policy" "" $notes) "keep") -}}
{{- fail (printf "this change would delete the claim image-registry-storage with all images in it: let it stay by kubectl -n %s annotate persistentvolumeclaim image-registry-storage helm.sh/resource-policy=keep, and upgrade again; who wants no way back deletes it afterwards" .Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- if include "image-registry.storageIsClaim" . -}}
{{- $wanted := .Values.config.storage.pvc -}}
{{- $found := lookup "v1" "PersistentVolumeClaim" .Release.Namespace (include "image-registry.claimName" .) -}}
{{- if and $found (not (has $wanted.accessMode $found.spec.accessModes)) -}}
{{- fail (printf "the claim %s is %s, which can not be changed to %s: set config.storage.pvc.accessMode to %s, or make a new claim, copy the data and name it in config.storage.pvc.claim" $found.metadata.name (join " and " $found.spec.accessModes) $wanted.accessMode (first $found.spec.accessModes)) -}}
{{- end -}}
{{- $class := dig "spec" "storageClassName" "" $found -}}
{{- if and $found (not $wanted.claim) $wanted.storageClassName (ne $wanted.storageClassName $class) -}}
{{- fail (printf "the claim %s has the StorageClass %q, which can not be changed to %q: leave config.storage.pvc.storageClassName empty, or make a new claim, copy the data and name it in config.storage.pvc.claim" $found.metadata.name $class $wanted.storageClassName) -}}
{{- end -}}
{{- /* what is Removed mounts nothing yet: a migration makes the claim after the first installation */ -}}
{{- if and (include "image-registry.managed" .) .Release.IsInstall $wanted.claim (not $found) (lookup "v1" "Namespace" "" .Release.Namespace) -}}
{{- fail (printf "config.storage.pvc.claim names %s, but namespace %s has no such claim: make it first, or leave the name empty to let the chart make one" $wanted.claim .Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- if include "image-registry.bundledDatabase" . -}}
{{- $wanted := .Values.config.metadata.postgresql.managed -}}
{{- $found := lookup "apps/v1" "StatefulSet" .Release.Namespace "image-registry-db" -}}
{{- if $found -}}
{{- $templates := $found.spec.volumeClaimTemplates | default list -}}
{{- if kindIs "map" $wanted.emptyDir -}}
{{- if $templates -}}
{{- fail "the running database has a claim, which can not be exchanged for an emptyDir: set config.metadata.postgresql.managed.emptyDir to null, or dump the database and delete the StatefulSet image-registry-db first" -}}
{{- end -}}
{{- else if not $templates -}}
{{- fail "the running database is in an emptyDir, which can not be exchanged for a claim: dump the database and delete the StatefulSet image-registry-db first, or keep config.metadata.postgresql.managed.emptyDir as it is" -}}
{{- else -}}
{{- $claim := (first $templates).spec -}}
{{- if ne $claim.resources.requests.storage $wanted.size -}}
{{- fail (printf "the running database asked for %s, and a StatefulSet can not change that: set config.metadata.postgresql.managed.size to %s and, to grow, the size in the claim data-image-registry-db-0 itself" $claim.resources.requests.storage $claim.resources.requests.storage) -}}
{{- end -}}
{{- if and (or $wanted.storageClassName $claim.storageClassName) (ne $wanted.storageClassName ($claim.storageClassName | default "")) -}}
{{- fail (printf "the running database has the StorageClass %q, and a StatefulSet can not change that: set config.metadata.postgresql.managed.storageClassName to it" ($claim.storageClassName | default "")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
