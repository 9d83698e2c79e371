#!/usr/bin/env bash
# Prints the folder with the Prometheus operator's CustomResourceDefinitions, as they are in the Go module that operator/go.mod names and
# operator/go.sum vouches for. Fetches it if need be. Runs after build.sh, which has seen to a Go that is new enough.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/operator"

newest_go() {
  local candidate
  if [ -n "${GO:-}" ]; then echo "$GO"; return; fi
  for candidate in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-1.*/bin/go \
    "${XDG_CACHE_HOME:-$HOME/.cache}"/inference-router/go-*/bin/go; do
    if [ -x "$candidate" ]; then echo "$(GOTOOLCHAIN=local "$candidate" env GOVERSION) $candidate"; fi
  done | sort -V | tail -n1 | cut -d' ' -f2
}

go=$(newest_go)
[ -n "$go" ] || { echo "tests/kubernetes/operator_kinds.sh: there is no Go; tests/kubernetes/build.sh fetches one" >&2; exit 1; }
folder=$(env -u GOROOT GOFLAGS=-mod=readonly GOTOOLCHAIN=local "$go" mod download -json github.com/prometheus-operator/prometheus-operator \
  | sed -nE 's/^\t"Dir": "(.*)",?$/\1/p')
[ -n "$folder" ] || { echo "tests/kubernetes/operator_kinds.sh: the module could not be fetched" >&2; exit 1; }
echo "$folder/example/prometheus-operator-crd"
