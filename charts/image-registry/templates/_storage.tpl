{{/*
What follows from the choice of storage: the volume, and how Pods may replace each other.
*/}}

{{- define "image-registry.storageIsClaim" -}}
{{- if kindIs "map" .Values.config.storage.pvc }}true{{ end -}}
{{- end -}}

{{- define "image-registry.storageIsEmptyDir" -}}
{{- if kindIs "map" .Values.config.storage.emptyDir }}true{{ end -}}
{{- end -}}

{{/* True text when two Pods may write the same storage from two nodes. */}}
{{- define "image-registry.storageIsShared" -}}
{{- if include "image-registry.storageIsClaim" . -}}
{{- if eq .Values.config.storage.pvc.accessMode "ReadWriteMany" }}true{{ end -}}
{{- end -}}
{{- end -}}

{{- define "image-registry.claimName" -}}
{{- .Values.config.storage.pvc.claim | default "image-registry-storage" -}}
{{- end -}}

{{/* A claim for one node would never be mounted by the new Pod while the old one runs: Recreate. */}}
{{- define "image-registry.rolloutStrategy" -}}
{{- if .Values.config.rolloutStrategy -}}
{{- .Values.config.rolloutStrategy -}}
{{- else if include "image-registry.storageIsShared" . -}}
RollingUpdate
{{- else -}}
Recreate
{{- end -}}
{{- end -}}
