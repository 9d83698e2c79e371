"""The values with which the chart is tested."""

HTTP = {"allowInsecureConnections": True}
TLS_SECRET = {"sslSecret": "router-tls", "sslSecretKeys": {"certificate": "tls.crt", "privateKey": "tls.key"}}
NO_KINDS = {"crds": {"install": False}}  # one release installs them: that of the fixture `owner`
SHORT = {"drainDelaySeconds": 1, "drainGraceSeconds": 20, **NO_KINDS}
ONE = {**HTTP, "inferenceRouterHA": False}
# Each has one router unless it says something else: 30 processes would be too many for the machines of these tests.
VARIANTS = {
    "ha": {"inferenceRouterHA": True, "inferenceRouterServiceType": "ClusterIP", **HTTP},
    "tls": {"sslCname": "models.test", "inferenceRouterServiceType": "ClusterIP", **TLS_SECRET},
    "both": {"sslSecret": "router-tls", **HTTP, "inferenceRouterServiceType": "ClusterIP", "sslMinimumVersion": "1.3"},
    "nodeport": {"inferenceRouterServiceType": "NodePort", "nodePorts": {"http": 30080}, "publicUrl": "http://models.test:30080", **HTTP,
                 "networkPolicy": {"enabled": True, "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
                                   "observeFrom": [{"namespaceSelector": {}}]},
                 "outboundProxy": {"httpsProxy": "http://proxy.test:3128", "noProxy": "10.0.0.0/8"}, "limits": {"max_connections": 5000},
                 "tolerations": [{"key": "gpu", "operator": "Exists"}], "nodeSelector": {"kubernetes.io/os": "linux"},
                 "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]},
    "internal": {"internalLoadBalancerProvider": "azure", "serviceAnnotations": {"team": "a"}, "loadBalancerSourceRanges": ["10.0.0.0/8"],
                 "trustedProxies": ["10.77.0.0/16"], "accessLog": False, "logLevel": "debug", "metricsBuckets": [0.1, 1, 7200],
                 "metricsPerReplica": True, "logFormat": "json", "accessLogClientIP": False, **HTTP},
    "listed": {"namespaces": [{"name": "release-listed-a", "hostnames": [], "prefix": "team-"}, {"name": "release-listed-b"}], **HTTP},
    "keys": {"createKeys": True, **HTTP},
    "adopt": {"adoptAzureMLPods": True, **HTTP},
    "policy": {"endpointSlicePolicy": {"enabled": True}, "checkPodAddresses": True, "perNamespace": {"maxEndpoints": 50}, **HTTP},
    "monitoring": {"inferenceRouterServiceType": "ClusterIP", **HTTP, "monitoring": {
        "serviceMonitor": {"enabled": True, "interval": "15s"}, "prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}},
    "wide": {"rbac": {"clusterWideSecrets": True}, **HTTP},
}
for values in VARIANTS.values():
    values.setdefault("inferenceRouterHA", False)
AT_ONCE = [name for name in VARIANTS if name != "wide"]
ALL = ["inference-router", *VARIANTS]
