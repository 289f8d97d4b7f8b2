{{/*
From `imagePruner` to the options of `ac adm prune images`. Argument: the values of imagePruner. The deprecated
keepYoungerThan is in nanoseconds, rounded up to seconds.
*/}}
{{- define "image-registry.pruneArguments" -}}
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
{{- range .registryHosts }}
- {{ printf "--registry-host=%s" . | quote }}
{{- end }}
{{- range .imageFields }}
- {{ printf "--image-field=%s" . | quote }}
{{- end }}
{{- end -}}
