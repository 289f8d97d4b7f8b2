{{/*
How both servers reach PostgreSQL: the bundled one, verified against our own CA, or an external one described by a Secret.
*/}}

{{- define "image-registry.bundledDatabase" -}}
{{- if kindIs "map" .Values.config.metadata.postgresql.managed }}true{{ end -}}
{{- end -}}

{{- define "image-registry.databaseSecret" -}}
{{- if include "image-registry.bundledDatabase" . }}image-registry-db{{ else }}{{ .Values.config.metadata.postgresql.secretName }}{{ end -}}
{{- end -}}

{{/* The password comes by file, so that it is in no environment and no process list. */}}
{{- define "image-registry.databaseEnv" -}}
{{- $secret := include "image-registry.databaseSecret" . -}}
{{- $fromSecret := dict "REGISTRY_DATABASE_NAME" "database" "REGISTRY_DATABASE_USER" "username" -}}
{{- if include "image-registry.bundledDatabase" . -}}
- name: REGISTRY_DATABASE_HOST
  value: image-registry-db.{{ .Release.Namespace }}.svc
- name: REGISTRY_DATABASE_PORT
  value: "5432"
- name: REGISTRY_DATABASE_SSLMODE
  value: verify-full
{{- else -}}
{{- $fromSecret = merge $fromSecret (dict "REGISTRY_DATABASE_HOST" "host" "REGISTRY_DATABASE_PORT" "port" "REGISTRY_DATABASE_SSLMODE" "sslmode") -}}
{{- end }}
{{- range $variable, $key := $fromSecret }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $key }}
{{- end }}
# PostgreSQL's client looks for certificates at home, and stops where it may not look.
- name: HOME
  value: /tmp
- name: REGISTRY_DATABASE_SSLROOTCERT
  value: /etc/image-registry/database/ca.crt
- name: REGISTRY_DATABASE_PASSWORD_FILE
  value: /etc/image-registry/database/password
{{- end -}}

{{- define "image-registry.databaseMount" -}}
- name: database
  mountPath: /etc/image-registry/database
  readOnly: true
{{- end -}}

{{- define "image-registry.databaseVolume" -}}
{{- $secret := include "image-registry.databaseSecret" . -}}
- name: database
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ $secret }}
          items:
            - key: password
              path: password
      {{- if include "image-registry.bundledDatabase" . }}
      - configMap:
          name: image-registry-ca
          items:
            - key: ca-bundle.crt
              path: ca.crt
      {{- else }}
      - secret:
          name: {{ $secret }}
          optional: true
          items:
            - key: ca.crt
              path: ca.crt
      {{- end }}
{{- end -}}

{{/* Goes before the data plane: waits for the database, then brings the schema to this version, for both servers. */}}
{{- define "image-registry.databaseUpgrade" -}}
- name: database-upgrade
  {{- include "image-registry.image" .root | nindent 2 }}
  args: ["database", "upgrade", "--wait", {{ .root.Values.databaseUpgrade.waitSeconds | toString | quote }}, "--or-later"]
  env:
    {{- include "image-registry.databaseEnv" .root | nindent 4 }}
    {{- with .root.Values.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "image-registry.securityContext" . | nindent 4 }}
  volumeMounts:
    {{- include "image-registry.databaseMount" .root | nindent 4 }}
    - name: tmp
      mountPath: /tmp
    {{- with .root.Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
