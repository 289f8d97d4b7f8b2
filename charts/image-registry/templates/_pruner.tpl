{{/*
From `imagePruner` to the options of `ac adm prune images`. Argument: the root. The deprecated keepYoungerThan is in
nanoseconds, rounded up to seconds. Every name under which workloads may pull is told: streams show only the first route.
*/}}
{{- define "image-registry.pruneArguments" -}}
{{- $routes := splitList "," (include "image-registry.externalHostnames" .) -}}
{{- $hosts := concat .Values.imagePruner.registryHosts $routes .Values.config.imagePullSecret.additionalRegistryHosts -}}
{{- with .Values.imagePruner }}
- --keep-tag-revisions={{ .keepTagRevisions }}
{{- $duration := .keepYoungerThanDuration -}}
{{- if and (not $duration) (not (kindIs "invalid" .keepYoungerThan)) -}}
{{- $duration = printf "%ds" (div (add (int64 .keepYoungerThan) 999999999) 1000000000) -}}
{{- end }}
- --keep-younger-than={{ $duration | default "60m" }}
- --ignore-invalid-refs={{ .ignoreInvalidImageReferences }}
- --loglevel={{ get (dict "Normal" "1" "Debug" "4" "Trace" "6" "TraceAll" "8") .logLevel }}
{{- range .exclude }}
- {{ printf "--whitelist=%s" . | quote }}
{{- end }}
{{- range without $hosts "" | uniq }}
- {{ printf "--registry-host=%s" . | quote }}
{{- end }}
{{- range .imageFields }}
- {{ printf "--image-field=%s" . | quote }}
{{- end }}
{{- end }}
{{- end -}}
