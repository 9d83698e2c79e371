{{- /* Names are cut so that "-internal" still fits into the 63 characters of a Service's name. */ -}}
{{- define "inference-router.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 54 | trimSuffix "-" -}}
{{- end -}}

{{- define "inference-router.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 54 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "inference-router.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 54 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "inference-router.selectorLabels" -}}
app.kubernetes.io/name: {{ include "inference-router.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "inference-router.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "inference-router.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "inference-router.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "inference-router.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* With the release's namespace: roles are created in other namespaces, where releases of the same name may meet. */ -}}
{{- define "inference-router.roleName" -}}
{{- printf "%s.%s" .Release.Namespace (include "inference-router.fullname" .) -}}
{{- end -}}

{{- define "inference-router.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* "true" if all namespaces are served, and read with one ClusterRole. */ -}}
{{- define "inference-router.servesAll" -}}
{{- if .Values.rbac.clusterWideSecrets -}}true{{- end -}}
{{- end -}}

{{- /* The served namespaces, as JSON, unless all are served: those that are listed, otherwise the release's own. */ -}}
{{- define "inference-router.namespaces" -}}
{{- default (list (dict "name" .Release.Namespace)) .Values.namespaces | toJson -}}
{{- end -}}

{{- /* The ports for clients of the router's Services, as a list. */ -}}
{{- define "inference-router.ports" -}}
{{- $nodePorts := and (ne .Values.inferenceRouterServiceType "ClusterIP") .nodePorts -}}
{{- if .Values.allowInsecureConnections }}
- name: http
  port: 80
  targetPort: http
  {{- if and $nodePorts .nodePorts.http }}
  nodePort: {{ int .nodePorts.http }}
  {{- end }}
{{- end }}
{{- if .Values.sslSecret }}
- name: https
  port: 443
  targetPort: https
  {{- if and $nodePorts .nodePorts.https }}
  nodePort: {{ int .nodePorts.https }}
  {{- end }}
{{- end }}
{{- end -}}

{{- /* The part of router.yaml that a running router cannot apply. A change of it restarts the pods (deployment.yaml). The number of
threads is not here: the router starts as many as its CPU limit has cores, and another limit restarts the pods anyway. */ -}}
{{- define "inference-router.kubernetes" -}}
{{- $settings := dict "lease" (dict "name" (include "inference-router.fullname" .)) -}}
{{- if not (include "inference-router.servesAll" .) -}}
{{- $_ := set $settings "namespaces" (include "inference-router.namespaces" . | fromJsonArray) -}}
{{- end -}}
{{- if .Values.createKeys }}{{ $_ := set $settings "create_keys" true }}{{ end -}}
{{- if .Values.adoptAzureMLPods }}{{ $_ := set $settings "adopt_azureml_pods" true }}{{ end -}}
{{- if .Values.checkPodAddresses }}{{ $_ := set $settings "check_pod_addresses" true }}{{ end -}}
{{- if .Values.allowCustomEndpointSlices }}{{ $_ := set $settings "allow_custom_endpoint_slices" true }}{{ end -}}
{{- if .Values.publicUrl -}}
{{- $_ := set $settings "public_url" .Values.publicUrl -}}
{{- else if .Values.sslCname -}}
{{- $_ := set $settings "ssl_cname" .Values.sslCname -}}
{{- end -}}
{{- /* Always, so that no endpoint can claim the names of the router's load balancer. */ -}}
{{- $_ := set $settings "service_name" (include "inference-router.fullname" .) -}}
{{- /* With --reuse-values this value is missing in a release that is older than it. */ -}}
{{- with .Values.perNamespace -}}
{{- $_ := set $settings "per_namespace" (dict
      "max_endpoints" (int64 (default 2000 .maxEndpoints)) "max_deployments" (int64 (default 4000 .maxDeployments))
      "max_secrets" (int64 (default 2000 .maxSecrets)) "max_bytes" (int64 (default 67108864 .maxBytes))) -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- /* The name of the Lease and the Secret that the routers of this release share. */ -}}
{{- define "inference-router.fleetName" -}}
{{- printf "%s-fleet" (include "inference-router.fullname" .) -}}
{{- end -}}

{{- /* The section `fleet`, if there are several routers. A change restarts the pods, as for `kubernetes`. With --reuse-values the values
       `fleet` are missing in a release that is older than them: the router's own defaults apply. */ -}}
{{- define "inference-router.fleet" -}}
{{- if .Values.inferenceRouterHA -}}
{{- $name := include "inference-router.fleetName" . -}}
{{- $settings := dict "listen" "0.0.0.0:9903" "advertise" "${POD_IP}:9903" "pod_uid" "${POD_UID}" "lease" $name "secret" $name -}}
{{- with .Values.fleet -}}
{{- with .runningGraceSeconds }}{{ $_ := set $settings "running_grace_s" (int64 .) }}{{ end -}}
{{- with .takeAfterSeconds }}{{ $_ := set $settings "take_after_s" (int64 .) }}{{ end -}}
{{- if eq (toString .trustRefused) "false" }}{{ $_ := set $settings "trust_refused" false }}{{ end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}
{{- end -}}

{{- /* "true" if a NetworkPolicy closes the port of the fleet to all but the routers. */ -}}
{{- define "inference-router.fleetPolicy" -}}
{{- if and .Values.inferenceRouterHA (ne (toString (default dict .Values.fleet).networkPolicy) "false") -}}true{{- end -}}
{{- end -}}

{{- /* The environment variables of the router. */ -}}
{{- define "inference-router.env" -}}
{{- if .Values.inferenceRouterHA }}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
{{- end }}
{{- with .Values.outboundProxy }}
{{- range $name, $value := dict "HTTP_PROXY" .httpProxy "HTTPS_PROXY" .httpsProxy "NO_PROXY" .noProxy }}
{{- if $value }}
- name: {{ $name }}
  value: {{ $value | quote }}
- name: {{ lower $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* The name in Via: the same for all routers of the release, and with very high probability different in other installations. It is
       a hash, so that pods cannot read the origin from it. */ -}}
{{- define "inference-router.viaName" -}}
{{- $whose := list .Release.Namespace .Release.Name .Values.publicUrl .Values.sslCname | join "/" -}}
{{- .Values.viaName | default (printf "router-%s" (sha256sum $whose | trunc 12)) -}}
{{- end -}}

{{- /* off, observe or act. The word `off` without quotes is the flag false in YAML 1.1. With --reuse-values the value is missing in a
       release that is older than it. */ -}}
{{- define "inference-router.autoscaler" -}}
{{- if kindIs "bool" .Values.autoscaler -}}off{{- else -}}{{- .Values.autoscaler | default "observe" -}}{{- end -}}
{{- end -}}

{{- /* router.yaml */ -}}
{{- define "inference-router.config" -}}
{{- $plain := dict "port" 8080 -}}
{{- $tls := dict "port" 8443 "tls" (dict
      "certificates" (list (dict "directory" "/secrets/tls"))
      "minimum_version" .Values.sslMinimumVersion) -}}
{{- $listeners := list -}}
{{- if .Values.allowInsecureConnections }}{{ $listeners = append $listeners $plain }}{{ end -}}
{{- if .Values.sslSecret }}{{ $listeners = append $listeners $tls }}{{ end -}}
{{- if .Values.proxyProtocol -}}
{{- range $listeners }}{{ $_ := set . "proxy_protocol" true }}{{ end -}}
{{- end -}}
{{- /* Kubelet and Prometheus reach `observe` over the pod's network. `admin` can drain the router, so it is open within the pod only. */ -}}
{{- $config := dict
      "listeners" $listeners
      "observe" (dict "address" "0.0.0.0:9901")
      "log" (dict "level" .Values.logLevel)
      "drain_delay_ms" (mul .Values.drainDelaySeconds 1000)
      "drain_grace_ms" (mul .Values.drainGraceSeconds 1000)
      "kubernetes" (include "inference-router.kubernetes" . | fromYaml) -}}
{{- with include "inference-router.fleet" . }}{{ $_ := set $config "fleet" (fromYaml .) }}{{ end -}}
{{- if .Values.accessLog }}{{ $_ := set $config "access_log" "stdout" }}{{ end -}}
{{- with .Values.trustedProxies }}{{ $_ := set $config "trusted_proxies" . }}{{ end -}}
{{- if ne (toString .Values.via) "false" }}{{ $_ := set $config "via_name" (include "inference-router.viaName" .) }}{{ else }}{{ $_ := set $config "via" false }}{{ end -}}
{{- with .Values.limits }}{{ $_ := set $config "limits" . }}{{ end -}}
{{- /* Only if it is not the default: during an upgrade, routers that do not know the key read this, too. */ -}}
{{- if eq (toString .Values.accessLogClientIP) "false" }}{{ $_ := set $config "access_log_client_ip" false }}{{ end -}}
{{- if eq (toString .Values.logFormat) "json" }}{{ $_ := set $config.log "format" "json" }}{{ end -}}
{{- with include "inference-router.autoscaler" . }}{{ if ne . "observe" }}{{ $_ := set $config "autoscaler" . }}{{ end }}{{ end -}}
{{- $metrics := dict -}}
{{- with .Values.metricsBuckets }}{{ $_ := set $metrics "buckets" . }}{{ end -}}
{{- if .Values.metricsPerReplica -}}
{{- $_ := set $metrics "per_replica" true -}}
{{- $_ := set $metrics "per_replica_max" (int64 (default 1000 .Values.metricsPerReplicaMax)) -}}
{{- end -}}
{{- with $metrics }}{{ $_ := set $config "metrics" . }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* Checks that values.schema.json cannot express: which values go together. Each message says what to do. */ -}}
{{- define "inference-router.validate" -}}
{{- $values := .Values -}}
{{- if not (or $values.sslSecret $values.allowInsecureConnections) -}}
{{- fail "how should clients connect? Set sslSecret to the name of a Secret with certificate and key (HTTPS), or allowInsecureConnections=true (HTTP, for development), or both" -}}
{{- end -}}
{{- if and $values.sslCname (not $values.sslSecret) -}}
{{- fail "sslCname is the host name of HTTPS: set sslSecret, too, or give publicUrl in its place" -}}
{{- end -}}
{{- if and $values.internalLoadBalancerProvider (ne $values.inferenceRouterServiceType "LoadBalancer") -}}
{{- fail (printf "internalLoadBalancerProvider needs inferenceRouterServiceType=LoadBalancer, not %s: change one of them" $values.inferenceRouterServiceType) -}}
{{- end -}}
{{- if and $values.loadBalancerSourceRanges (ne $values.inferenceRouterServiceType "LoadBalancer") -}}
{{- fail (printf "loadBalancerSourceRanges needs inferenceRouterServiceType=LoadBalancer, not %s: remove it; networkPolicy.from bounds clients for every type" $values.inferenceRouterServiceType) -}}
{{- end -}}
{{- if and $values.rbac.clusterWideSecrets $values.namespaces -}}
{{- fail "rbac.clusterWideSecrets=true serves all namespaces: leave namespaces empty, or leave rbac.clusterWideSecrets at false to serve only those listed" -}}
{{- end -}}
{{- $names := list -}}
{{- range $values.namespaces -}}
{{- if has .name $names }}{{ fail (printf "namespaces lists %s twice: put hostnames and prefix into one entry" .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- if and $values.proxyProtocol (not $values.trustedProxies) -}}
{{- fail "proxyProtocol=true believes PROXY headers only from trustedProxies: list the addresses of the load balancer there, such as 10.0.0.0/8" -}}
{{- end -}}
{{- if and (eq (include "inference-router.autoscaler" .) "act") (not $values.inferenceRouterHA) -}}
{{- fail "autoscaler=act needs inferenceRouterHA=true: the routers agree in their fleet on which of them writes the number of pods, and one router alone has none. Set inferenceRouterHA=true, or autoscaler=observe, which writes nothing" -}}
{{- end -}}
{{- if and (default dict $values.endpointSlicePolicy).enabled (semverCompare "<1.30-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "endpointSlicePolicy.enabled needs ValidatingAdmissionPolicies, which Kubernetes has from 1.30 on, not %s: set it to false" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and $values.monitoring.serviceMonitor.enabled $values.networkPolicy.enabled (not $values.networkPolicy.observeFrom) -}}
{{- fail "networkPolicy.enabled keeps Prometheus out: name its namespace or pods in networkPolicy.observeFrom" -}}
{{- end -}}
{{- end -}}
