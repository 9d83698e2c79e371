#!/usr/bin/env bash
# Builds the programs of tests/kubernetes from the Go modules that cluster/go.mod and helm/go.mod name: a real cluster (etcd,
# kube-apiserver, kube-controller-manager and kubectl), and helm. Each part is built once and kept outside the checkout, in a folder
# whose name depends on its sources.
#
#   build.sh                builds what is missing, prints the folders (two cores: 5 to 20 minutes; 4 GB of disk)
#   build.sh --node         also builds the programs of a real node, for tests/node (node/go.mod): kubelet, kube-proxy, kube-scheduler
#   build.sh --folder PART  only prints the folder of `cluster`, `helm` or `node`
#   build.sh --go           only prints the path of the Go that it builds with; fetches it if necessary
#
# Needs Go and the Go module proxy (GOPROXY). Go 1.24 or later builds the programs. An earlier one, down to Debian 12's 1.19, only
# fetches a newer Go, which is a Go module too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

go_needed=1.24.13  # fetched if the installed Go is older than the parts' go.mod require
cache=${XDG_CACHE_HOME:-$HOME/.cache}/inference-router

say() { printf '%s\n' "$*" >&2; }
die() { say "tests/kubernetes/build.sh: $*"; exit 1; }
hash_of() { cat "$@" | sha256sum | cut -c1-12; }
folder_of() {  # PART
  case "$1" in
    cluster) echo "$cache/kubernetes-$(hash_of cluster/go.mod cluster/go.sum cluster/cmd/*/main.go)" ;;
    helm) echo "$cache/helm-$(hash_of helm/go.mod helm/go.sum)" ;;
    node) echo "$cache/node-$(hash_of node/go.mod node/go.sum node/cmd/*/main.go)" ;;
    *) die "there is no part '$1', only cluster, helm and node" ;;
  esac
}
programs_of() {  # PART
  case "$1" in
    cluster | node) (cd "$1/cmd" && echo *) ;;
    helm) echo helm ;;
  esac
}
is_built() {  # PART
  local program folder
  folder=$(folder_of "$1")
  for program in $(programs_of "$1"); do [ -x "$folder/$program" ] || return 1; done
}
all_are_built() {
  local part
  for part in $parts; do is_built "$part" || return 1; done
}
# The minor version of a Go: 19, 24.
minor_of() { GOTOOLCHAIN=local "$1" env GOVERSION | sed -nE 's/^go1\.([0-9]+).*/\1/p'; }
find_go() {  # the Go that the variable GO names, or the newest one
  local candidate minor best='' best_minor=0
  if [ -n "${GO:-}" ]; then echo "$GO"; return; fi
  for candidate in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-1.*/bin/go; do
    [ -x "$candidate" ] || continue
    minor=$(minor_of "$candidate")
    if [ "${minor:-0}" -gt "$best_minor" ]; then best=$candidate best_minor=$minor; fi
  done
  echo "$best"
}
# A Go before 1.21 cannot switch to another version, but it can fetch it. Module archives have neither the permission to execute
# nor a go.mod below their root, so a copy gets both.
fetch_go() {  # GO; prints the newer one
  local name=v0.0.1-go$go_needed.linux-$("$1" env GOARCH) copy=$cache/go-$go_needed fetched
  if [ ! -x "$copy/bin/go" ]; then
    say "fetching Go $go_needed"
    fetched=$(cd / && GOFLAGS=-mod=mod "$1" mod download -json "golang.org/toolchain@$name" | sed -nE 's/^\t"Dir": "(.*)",?$/\1/p') || true
    [ -n "$fetched" ] || die "Go $go_needed could not be fetched from $("$1" env GOPROXY)"
    rm -rf "$copy.new"
    cp -r "$fetched" "$copy.new"
    chmod -R u+w "$copy.new"
    chmod +x "$copy.new"/bin/* "$copy.new"/pkg/tool/*/*
    find "$copy.new" -name _go.mod -execdir mv {} go.mod \;
    mv "$copy.new" "$copy"
  fi
  echo "$copy/bin/go"
}
# The version that go.mod requires.
version_in() { sed -nE "s#^(require|\t)? *$2 (v[^ ]*).*#\2#p" "$1/go.mod"; }  # PART MODULE
minor_in() { version_in "$1" "$2" | cut -d. -f2; }
# The versions that the programs report, and the version of the cluster that helm assumes without one.
versions_of() {  # PART
  local package
  case "$1" in
    cluster | node)
      for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        echo "-X $package.gitVersion=$(version_in "$1" k8s.io/kubernetes) -X $package.gitMajor=1" \
          "-X $package.gitMinor=$(minor_in "$1" k8s.io/kubernetes)"
      done
      ;;
    helm)
      echo "-X helm.sh/helm/v3/internal/version.version=$(version_in "$1" helm.sh/helm/v3)"
      for package in helm.sh/helm/v3/pkg/chartutil helm.sh/helm/v3/pkg/lint/rules; do
        echo "-X $package.k8sVersionMajor=1 -X $package.k8sVersionMinor=$(minor_in "$1" k8s.io/client-go)"
      done
      ;;
  esac
}
go_to_use() {
  local go minor
  go=$(find_go)
  [ -n "$go" ] || die "there is no Go: install it (Debian: golang-go), or name it by GO=/path/of/go"
  minor=$(minor_of "$go") && [ -n "$minor" ] || die "$go is not Go, or does not run"
  if [ "$minor" -ge "$(cut -d. -f2 <<<"$go_needed")" ]; then echo "$go"; else fetch_go "$go"; fi
}
build() {  # GO PART
  local go=$1 part=$2 folder versions begun=$SECONDS packages=./cmd/...
  folder=$(folder_of "$part")
  versions=$(versions_of "$part" | tr '\n' ' ')
  [ "$part" != helm ] || packages=tool  # the tool of its go.mod
  say "building $(programs_of "$part") with $("$go" version | cut -d' ' -f3)"
  mkdir -p "$folder.new"
  (cd "$part" && env -u GOROOT CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local nice "$go" build -trimpath \
    -ldflags "-s -w $versions" -o "$folder.new/" $packages) \
    || die "building failed; \`$go clean -cache\` frees what was compiled so far"
  rm -rf "$folder"
  mv "$folder.new" "$folder"
  say "built in $(((SECONDS - begun) / 60)) min $(((SECONDS - begun) % 60)) s: $folder"
}

if [ "${1:-}" = --folder ]; then
  folder_of "${2:-}"
  exit
fi
lock() {  # another checkout may build the same at this time
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
}
if [ "${1:-}" = --go ]; then
  lock
  go_to_use
  exit
fi
parts="cluster helm"
[ "${1:-}" != --node ] || parts+=" node"
if ! all_are_built; then
  lock
  if ! all_are_built; then
    go=$(go_to_use)
    for part in $parts; do is_built "$part" || build "$go" "$part"; done
  fi
fi
for part in $parts; do folder_of "$part"; done
