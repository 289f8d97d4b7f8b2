{{/*
In CEL: some image of the Pod has a name without a slash. Argument: the way to the Pod's spec; every step of it may be
absent, because an expression that fails counts as the webhook's failure.
*/}}
{{- define "image-registry.namesShortly" -}}
{{- $pod := . -}}
{{- $steps := splitList "." . -}}
{{- range $index := untilStep 2 (int (add1 (len $steps))) 1 -}}
has({{ slice $steps 0 $index | join "." }}) && {{ end -}}
(
{{- range $index, $section := list "containers" "initContainers" "ephemeralContainers" -}}
{{- if $index }} || {{ end -}}
(has({{ $pod }}.{{ $section }}) && {{ $pod }}.{{ $section }}.exists(c, has(c.image) && c.image != '' && !c.image.contains('/')))
{{- end }}
|| (has({{ $pod }}.volumes) && {{ $pod }}.volumes.exists(v, has(v.image) && has(v.image.reference) && v.image.reference != '' && !v.image.reference.contains('/'))))
{{- end -}}
