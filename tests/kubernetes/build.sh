#!/usr/bin/env bash
# Builds the parts of a real cluster that tests/kubernetes runs, from the Go modules that cluster/go.mod names: etcd, kube-apiserver,
# kube-controller-manager and kubectl. Once: they are kept outside the checkout, under a name that changes with their sources.
#
#   build.sh            builds what is missing, prints the folder (two cores: 5 to 20 minutes; 4 GB of disk)
#   build.sh --folder   only prints the folder
#
# Needs Go and the Go module proxy (GOPROXY). Go 1.24 or later is used as it is; an earlier one, down to Debian 12's 1.19, only to
# fetch a newer Go, which is a Go module, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/cluster"

go_needed=1.24.13  # fetched where Go is older than go.mod asks for
cache=${XDG_CACHE_HOME:-$HOME/.cache}/inference-router
folder=$cache/kubernetes-$(cat go.mod go.sum cmd/*/main.go | sha256sum | cut -c1-12)
programs=$(cd cmd && echo *)

say() { printf '%s\n' "$*" >&2; }
die() { say "tests/kubernetes/build.sh: $*"; exit 1; }
is_built() {
  local program
  for program in $programs; do [ -x "$folder/$program" ] || return 1; done
}
# The number after the point of a Go's version: 19, 24.
minor_of() { GOTOOLCHAIN=local "$1" env GOVERSION | sed -nE 's/^go1\.([0-9]+).*/\1/p'; }
find_go() {  # the one that GO names, or the newest
  local candidate minor best='' best_minor=0
  if [ -n "${GO:-}" ]; then echo "$GO"; return; fi
  for candidate in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-1.*/bin/go; do
    [ -x "$candidate" ] || continue
    minor=$(minor_of "$candidate")
    if [ "${minor:-0}" -gt "$best_minor" ]; then best=$candidate best_minor=$minor; fi
  done
  echo "$best"
}
# A Go before 1.21 cannot change into another one, but it can fetch it. Module archives carry neither the permission to execute
# nor a go.mod below their root: both are put right in a copy.
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
build() {  # GO
  local version minor flags='-s -w' package
  version=$(sed -nE 's#^\tk8s.io/kubernetes (v.*)#\1#p' go.mod)
  minor=$(cut -d. -f2 <<<"$version")
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor"
  done
  say "building $programs ($version) with $("$1" version | cut -d' ' -f3)"
  mkdir -p "$folder.new"
  env -u GOROOT CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local nice "$1" build -trimpath -ldflags "$flags" -o "$folder.new/" ./cmd/... \
    || die "building failed; \`$1 clean -cache\` frees what was compiled so far"
  rm -rf "$folder"
  mv "$folder.new" "$folder"
}

if [ "${1:-}" != --folder ] && ! is_built; then
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9  # another checkout may be building the same
  if ! is_built; then
    go=$(find_go)
    [ -n "$go" ] || die "there is no Go: install it (Debian: golang-go), or name it by GO=/path/of/go"
    minor=$(minor_of "$go") && [ -n "$minor" ] || die "$go is not Go, or does not run"
    [ "$minor" -ge "$(cut -d. -f2 <<<"$go_needed")" ] || go=$(fetch_go "$go")
    begun=$SECONDS
    build "$go"
    say "built in $(((SECONDS - begun) / 60)) min $(((SECONDS - begun) % 60)) s: $folder"
  fi
fi
echo "$folder"
