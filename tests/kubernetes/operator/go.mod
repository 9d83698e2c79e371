// The Prometheus operator's CustomResourceDefinitions (example/prometheus-operator-crd), for tests/kubernetes/test_monitoring.py. Nothing
// of it is compiled: operator_kinds.sh fetches the module.
module inference-router/tests/kubernetes/operator

go 1.24.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
