{{/*
Hook Jobs: code makes keys, certificates and passwords, because a template would make new ones at every render.
*/}}

{{/* Argument: dict "events" "weight". */}}
{{- define "image-registry.hook" -}}
helm.sh/hook: {{ .events }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* A ServiceAccount, a Role with its binding, and a Job. Argument: dict "root" "name" "events" "rules" "args" "clusterRules" "first", the last four as text;
`first` are the arguments of a container that goes before. */}}
{{- define "image-registry.hookJob" -}}
{{- $self := dict "root" .root "name" "image-registry-bootstrap" -}}
{{- $labels := include "image-registry.labels" $self -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $bootstrap := .root.Values.bootstrap -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ $namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- include "image-registry.hook" (dict "events" .events "weight" "-20") | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ $namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- include "image-registry.hook" (dict "events" .events "weight" "-15") | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ $namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- include "image-registry.hook" (dict "events" .events "weight" "-10") | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ $namespace }}
{{- with .clusterRules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $namespace }}:{{ $.name }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- include "image-registry.hook" (dict "events" $.events "weight" "-15") | nindent 4 }}
rules:
  {{- . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $namespace }}:{{ $.name }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- include "image-registry.hook" (dict "events" $.events "weight" "-10") | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $namespace }}:{{ $.name }}
subjects:
  - kind: ServiceAccount
    name: {{ $.name }}
    namespace: {{ $namespace }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  namespace: {{ $namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- include "image-registry.hook" (dict "events" .events "weight" "0") | nindent 4 }}
spec:
  activeDeadlineSeconds: {{ $bootstrap.activeDeadlineSeconds }}
  backoffLimit: {{ $bootstrap.backoffLimit }}
  template:
    metadata:
      labels:
        {{- include "image-registry.podLabels" $self | nindent 8 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ .name }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      {{- include "image-registry.pullSecrets" .root | nindent 6 }}
      securityContext:
        {{- include "image-registry.podSecurityContext" 65532 | nindent 8 }}
      {{- include "image-registry.placement" $bootstrap | nindent 6 }}
      {{- with .first }}
      initContainers:
        {{- include "image-registry.bootstrapContainer" (dict "root" $.root "name" "secrets" "args" .) | nindent 8 }}
      {{- end }}
      containers:
        {{- include "image-registry.bootstrapContainer" (dict "root" .root "name" "bootstrap" "args" .args) | nindent 8 }}
      volumes:
        - name: tmp
          emptyDir: {}
{{- end -}}
