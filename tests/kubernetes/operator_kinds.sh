#!/usr/bin/env bash
# Prints the folder with the Prometheus operator's CustomResourceDefinitions, as they are in the Go module that operator/go.mod names. Its
# checksum is in operator/go.sum. Fetches it if necessary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
go=$(./build.sh --go)
cd operator
folder=$(env -u GOROOT GOFLAGS=-mod=readonly GOTOOLCHAIN=local "$go" mod download -json github.com/prometheus-operator/prometheus-operator \
  | sed -nE 's/^\t"Dir": "(.*)",?$/\1/p')
[ -n "$folder" ] || { echo "tests/kubernetes/operator_kinds.sh: the module could not be fetched" >&2; exit 1; }
echo "$folder/example/prometheus-operator-crd"
