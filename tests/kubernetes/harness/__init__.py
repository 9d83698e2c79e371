"""A real Kubernetes cluster for the tests: cluster.py first."""
