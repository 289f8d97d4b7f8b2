{{/*
Names under which the registry is reached from outside of the cluster: by an Ingress each, or by an HTTPRoute where a Gateway is
named.
*/}}

{{- define "image-registry.defaultRouteHost" -}}
default-route-{{ .Release.Namespace }}.{{ .Values.config.routeDefaults.domain }}
{{- end -}}

{{/* All of them as `{"routes": […]}`, the default route first, each with what it takes from routeDefaults. */}}
{{- define "image-registry.routes" -}}
{{- $defaults := .Values.config.routeDefaults -}}
{{- $found := list -}}
{{- if .Values.config.defaultRoute -}}
{{- $found = append $found (dict "name" "default-route" "hostname" (include "image-registry.defaultRouteHost" .)) -}}
{{- end -}}
{{- $found = concat $found .Values.config.routes -}}
{{- $all := list -}}
{{- range $found -}}
{{- $gateway := $defaults.gateway -}}{{- if (.gateway).name -}}{{- $gateway = .gateway -}}{{- end -}}
{{- $class := .ingressClassName | default $defaults.ingressClassName -}}
{{- $annotations := merge (dict) (.annotations | default dict) $defaults.annotations -}}
{{- $all = append $all (dict "name" .name "hostname" .hostname "secretName" .secretName "gateway" $gateway "ingressClassName" $class "annotations" $annotations) -}}
{{- end -}}
{{- dict "routes" $all | toYaml -}}
{{- end -}}

{{/* Their hosts, joined by commas. */}}
{{- define "image-registry.externalHostnames" -}}
{{- $names := list -}}
{{- range (include "image-registry.routes" . | fromYaml).routes -}}{{- $names = append $names .hostname -}}{{- end -}}
{{- $names | uniq | join "," -}}
{{- end -}}

{{/* True text if there is an Ingress, an HTTPRoute. */}}
{{- define "image-registry.hasIngress" -}}
{{- range (include "image-registry.routes" . | fromYaml).routes -}}{{- if not .gateway.name -}}true{{- end -}}{{- end -}}
{{- end -}}

{{- define "image-registry.hasGateway" -}}
{{- range (include "image-registry.routes" . | fromYaml).routes -}}{{- if .gateway.name -}}true{{- end -}}{{- end -}}
{{- end -}}

{{/* What every controller is told; argument: dict "root" "kind" with `ingress` or `service`. */}}
{{- define "image-registry.controllerAnnotations" -}}
{{- $found := dict -}}
{{- range .root.Files.Get "files/controllers.yaml" | fromYaml -}}
{{- $found = merge $found (get . $.kind | default dict) -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* True text where Traefik can be told which authority to believe. */}}
{{- define "image-registry.traefikTransport" -}}
{{- if and (include "image-registry.hasIngress" .) (.Capabilities.APIVersions.Has "traefik.io/v1alpha1/ServersTransport") -}}true{{- end -}}
{{- end -}}

{{/* Annotations of the Service; those of the administrator go first. */}}
{{- define "image-registry.serviceAnnotations" -}}
{{- $found := dict -}}
{{- if include "image-registry.hasIngress" . -}}
{{- $found = include "image-registry.controllerAnnotations" (dict "root" . "kind" "service") | fromYaml -}}
{{- if include "image-registry.traefikTransport" . -}}
{{- $_ := set $found "traefik.ingress.kubernetes.io/service.serverstransport" (printf "%s-image-registry@kubernetescrd" .Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- with merge (dict) .Values.registry.serviceAnnotations $found -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{/* One Ingress; argument: dict "root" "route". */}}
{{- define "image-registry.ingress" -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ .route.name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "image-registry.labels" (dict "root" .root "name" "image-registry") | nindent 4 }}
  annotations:
    {{- $known := include "image-registry.controllerAnnotations" (dict "root" .root "kind" "ingress") | fromYaml }}
    {{- toYaml (merge (dict) .route.annotations $known) | nindent 4 }}
spec:
  {{- with .route.ingressClassName }}
  ingressClassName: {{ . }}
  {{- end }}
  rules:
    - host: {{ .route.hostname | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: image-registry
                port:
                  name: 5000-tcp
  tls:
    - hosts:
        - {{ .route.hostname | quote }}
      {{- with .route.secretName }}
      secretName: {{ . }}
      {{- end }}
{{- end -}}

{{/* One HTTPRoute; argument: dict "root" "route". A Gateway may end requests early unless it is told not to. */}}
{{- define "image-registry.httpRoute" -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ .route.name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "image-registry.labels" (dict "root" .root "name" "image-registry") | nindent 4 }}
  {{- with .route.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  parentRefs:
    - name: {{ .route.gateway.name }}
      {{- with .route.gateway.namespace }}
      namespace: {{ . }}
      {{- end }}
      {{- with .route.gateway.sectionName }}
      sectionName: {{ . }}
      {{- end }}
  hostnames:
    - {{ .route.hostname | quote }}
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: /
      timeouts:
        request: 0s
      backendRefs:
        - name: image-registry
          port: 5000
{{- end -}}

{{/* Where this kind was before it was stable, if the cluster has only that. */}}
{{- define "image-registry.backendPolicyVersion" -}}
{{- if and (.Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1alpha3/BackendTLSPolicy") (not (.Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1/BackendTLSPolicy")) -}}
gateway.networking.k8s.io/v1alpha3
{{- else -}}
gateway.networking.k8s.io/v1
{{- end -}}
{{- end -}}
