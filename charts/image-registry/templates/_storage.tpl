{{/*
What follows from the choice of storage: the volume, and how Pods may replace each other.
*/}}

{{- define "image-registry.storageIsClaim" -}}
{{- if kindIs "map" .Values.config.storage.pvc }}true{{ end -}}
{{- end -}}

{{- define "image-registry.storageIsEmptyDir" -}}
{{- if kindIs "map" .Values.config.storage.emptyDir }}true{{ end -}}
{{- end -}}

{{/* Names of the members that are set; a valid configuration has one. */}}
{{- define "image-registry.storageKinds" -}}
{{- $found := list -}}
{{- range list "pvc" "emptyDir" "s3" "gcs" "azure" "swift" "ibmcos" "oss" -}}
{{- if kindIs "map" (index $.Values.config.storage .) -}}{{- $found = append $found . -}}{{- end -}}
{{- end -}}
{{- join " " $found -}}
{{- end -}}

{{- define "image-registry.storageIsObjects" -}}
{{- if not (or (include "image-registry.storageIsClaim" .) (include "image-registry.storageIsEmptyDir" .)) }}true{{ end -}}
{{- end -}}

{{/* True text when two Pods may write the same storage from two nodes. */}}
{{- define "image-registry.storageIsShared" -}}
{{- if include "image-registry.storageIsClaim" . -}}
{{- if eq .Values.config.storage.pvc.accessMode "ReadWriteMany" }}true{{ end -}}
{{- else -}}
{{- include "image-registry.storageIsObjects" . -}}
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

{{/* The ConfigMap with the CA of an object store, if one is named. */}}
{{- define "image-registry.storageCA" -}}
{{- $storage := .Values.config.storage -}}
{{- dig "trustedCA" "name" "" (($storage.s3 | default $storage.swift) | default dict) -}}
{{- end -}}

{{/*
What the data plane is told of its storage, as a map of variables without their prefix; empty ones are not written. IBM's and
Alibaba's stores are reached by their S3 interfaces.
*/}}
{{- define "image-registry.storageVariables" -}}
{{- $storage := .Values.config.storage -}}
{{- with $storage.pvc -}}
FILESYSTEM_ROOTDIRECTORY: /registry
{{- else with $storage.s3 -}}
kind: s3
S3_BUCKET: {{ .bucket | quote }}
S3_REGION: {{ .region | default "" | quote }}
S3_REGIONENDPOINT: {{ .regionEndpoint | default "" | quote }}
S3_FORCEPATHSTYLE: {{ not .virtualHostedStyle | quote }}
S3_SKIPVERIFY: {{ .skipVerify | default "" | quote }}
S3_ENCRYPT: {{ .encrypt | default "" | quote }}
S3_KEYID: {{ .keyID | default "" | quote }}
{{- with .cloudFront }}
S3_CLOUDFRONTBASEURL: {{ .baseURL | quote }}
S3_CLOUDFRONTKEYPAIRID: {{ .keypairID | quote }}
S3_CLOUDFRONTDURATION: {{ .duration | default "" | quote }}
S3_CLOUDFRONTPRIVATEKEY: /etc/image-registry/cloudfront/private-key.pem
{{- end }}
{{- include "image-registry.storageShared" (dict "kind" "S3" "root" $ "values" .) }}
{{- else with $storage.gcs -}}
kind: gcs
GCS_BUCKET: {{ .bucket | quote }}
GCS_KEYID: {{ .keyID | default "" | quote }}
{{- include "image-registry.storageShared" (dict "kind" "GCS" "root" $ "values" .) }}
{{- else with $storage.azure -}}
kind: azure
AZURE_ACCOUNTNAME: {{ .accountName | quote }}
AZURE_CONTAINER: {{ .container | quote }}
AZURE_REALM: {{ get (dict "AzureUSGovernmentCloud" "core.usgovcloudapi.net" "AzureChinaCloud" "core.chinacloudapi.cn") (.cloudName | default "") | quote }}
{{- include "image-registry.storageShared" (dict "kind" "AZURE" "root" $ "values" .) }}
{{- else with $storage.swift -}}
kind: swift
SWIFT_AUTHURL: {{ .authURL | quote }}
SWIFT_AUTHVERSION: {{ .authVersion | default "" | toString | quote }}
SWIFT_CONTAINER: {{ .container | quote }}
SWIFT_DOMAIN: {{ .domain | default "" | quote }}
SWIFT_DOMAINID: {{ .domainID | default "" | quote }}
SWIFT_TENANT: {{ .tenant | default "" | quote }}
SWIFT_TENANTID: {{ .tenantID | default "" | quote }}
SWIFT_REGION: {{ .regionName | default "" | quote }}
{{- include "image-registry.storageShared" (dict "kind" "SWIFT" "root" $ "values" .) }}
{{- else with $storage.ibmcos -}}
kind: s3
S3_BUCKET: {{ .bucket | quote }}
S3_REGION: {{ .location | quote }}
S3_REGIONENDPOINT: https://s3.{{ .location }}.cloud-object-storage.appdomain.cloud
{{- include "image-registry.storageShared" (dict "kind" "S3" "root" $ "values" .) }}
{{- else with $storage.oss -}}
kind: s3
S3_BUCKET: {{ .bucket | quote }}
S3_REGION: {{ .region | quote }}
S3_REGIONENDPOINT: https://oss-{{ .region }}{{ if ne (.endpointAccessibility | default "Internal") "Public" }}-internal{{ end }}.aliyuncs.com
S3_FORCEPATHSTYLE: "false"
{{- with .encryption }}
S3_ENCRYPT: "true"
S3_KEYID: {{ dig "kms" "keyID" "" . | quote }}
{{- end }}
{{- include "image-registry.storageShared" (dict "kind" "S3" "root" $ "values" .) }}
{{- else -}}
FILESYSTEM_ROOTDIRECTORY: /registry
FILESYSTEM_LASTING: "false"
{{- end }}
{{- end -}}

{{/* What every object store is told; argument: dict "kind" "root" "values". */}}
{{- define "image-registry.storageShared" }}
{{ .kind }}_ROOTDIRECTORY: {{ .values.rootDirectory | default "" | quote }}
{{ .kind }}_CHUNKSIZE: {{ with .values.chunkSizeMiB }}{{ mul (int64 .) 1048576 | toString | quote }}{{ else }}""{{ end }}
{{- if include "image-registry.storageCA" .root }}
{{ .kind }}_TRUSTEDCA: /etc/image-registry/storage-ca/ca-bundle.crt
{{- end }}
CREDENTIALS: /etc/image-registry/storage
REDIRECT_DISABLE: {{ .root.Values.config.disableRedirect | quote }}
{{- end -}}

{{- define "image-registry.storageEnv" -}}
{{- $variables := fromYaml (include "image-registry.storageVariables" .) -}}
- name: REGISTRY_STORAGE
  value: {{ $variables.kind | default "filesystem" }}
{{- range $name, $value := omit $variables "kind" }}
{{- if $value }}
- name: REGISTRY_STORAGE_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "image-registry.storageMounts" -}}
{{- if include "image-registry.storageIsObjects" . -}}
- name: storage-credentials
  mountPath: /etc/image-registry/storage
  readOnly: true
{{- if include "image-registry.storageCA" . }}
- name: storage-ca
  mountPath: /etc/image-registry/storage-ca
  readOnly: true
{{- end }}
{{- if ((.Values.config.storage.s3).cloudFront).baseURL }}
- name: cloudfront
  mountPath: /etc/image-registry/cloudfront
  readOnly: true
{{- end }}
{{- else -}}
- name: storage
  mountPath: /registry
{{- end }}
{{- end -}}

{{/* S3 and Google's store can also be reached by the identity of the Pod: their Secret may be missing. */}}
{{- define "image-registry.storageVolumes" -}}
{{- if include "image-registry.storageIsObjects" . -}}
- name: storage-credentials
  secret:
    secretName: image-registry-private-configuration-user
    defaultMode: 0440
    {{- if or .Values.config.storage.s3 .Values.config.storage.gcs }}
    optional: true
    {{- end }}
{{- with include "image-registry.storageCA" . }}
- name: storage-ca
  configMap:
    name: {{ . }}
    items:
      - key: ca-bundle.crt
        path: ca-bundle.crt
{{- end }}
{{- with ((.Values.config.storage.s3).cloudFront).privateKey }}
- name: cloudfront
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: private-key.pem
{{- end }}
{{- else -}}
- name: storage
  {{- if include "image-registry.storageIsClaim" . }}
  persistentVolumeClaim:
    claimName: {{ include "image-registry.claimName" . }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- end -}}
