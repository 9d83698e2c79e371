#!/usr/bin/env bash
# Builds the router's image from the Dockerfile with podman, on a base made by debootstrap, so that no registry except Debian's is
# needed. Keeps base, layers, and the archives that tests/image and tests/node run in build/image. Needs root.
#
#   build.sh          the router's image: build/image/inference-router.tar
#   build.sh --node   also the images for a node: build/image/model.tar, build/image/pause.tar
#
# The base stays until build/image is removed. DEBIAN_MIRROR names another mirror than deb.debian.org. The build uses this
# machine's ccache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=$PWD/build/image
base=localhost/inference-router-base:bookworm

say() { printf '%s\n' "$*" >&2; }
die() { say "tests/image/build.sh: $*"; exit 1; }
# The mounts are in a namespace of their own, so none remains.
if [ "${IMAGE_OWN_MOUNTS:-}" != yes ]; then
  [ "$(id -u)" = 0 ] || die "only root may make the base of the image"
  IMAGE_OWN_MOUNTS=yes exec unshare --mount --propagation private "$0" "$@"
fi
# podman's state of running containers ends with this script.
mkdir -p /run/podman
mount -t tmpfs tmpfs /run/podman
podman() { tests/image/podman.sh "$@"; }

# The packages of Debian's own image. That image omits some files, so only the base, with which the size is compared, is larger here.
make_base() {
  podman image exists "$base" && return
  say "making the base with debootstrap"
  rm -rf "$folder/base"
  debootstrap --variant=minbase bookworm "$folder/base" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$folder/debootstrap.log" 2>&1 \
    || die "debootstrap failed: $folder/debootstrap.log"
  rm -rf "$folder/base"/var/cache/apt/* "$folder/base"/var/lib/apt/lists/*
  tar -C "$folder/base" -c . | podman import - "$base" >/dev/null
  rm -rf "$folder/base"
}
build() {  # NAME DOCKERFILE CONTEXT [OPTION...]; chroot: the build has neither control groups nor a network of its own
  say "building the image $1"
  podman build --isolation chroot --build-arg BASE="$base" --tag "localhost/$1:test" --file "$2" "${@:4}" "$3" >"$folder/$1.log" 2>&1 \
    || { tail -n 30 "$folder/$1.log" >&2; die "building $1 failed: $folder/$1.log"; }
}
save() {  # NAME
  podman save --quiet --output "$folder/$1.tar.new" "localhost/$1:test"
  mv "$folder/$1.tar.new" "$folder/$1.tar"
}
size_of() { podman image inspect --format '{{.Size}}' "$1"; }

build_router() {
  local ccache=()
  command -v ccache >/dev/null && mkdir -p "$(ccache -k cache_dir)" && ccache=(--volume "$(ccache -k cache_dir):/root/.cache/ccache")
  build inference-router Dockerfile . "${ccache[@]}" \
    --build-arg VERSION="$(sed -nE 's/^project\(.* VERSION ([^ ]+) .*/\1/p' CMakeLists.txt)" \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
  save inference-router
  printf '{"base": %s, "image": %s}\n' "$(size_of "$base")" "$(size_of localhost/inference-router:test)" >"$folder/sizes.json"
}
build_node_images() {
  mkdir -p "$folder/model" "$folder/pause"
  cp tests/node/images/model.py tests/integration/support/replica_process.py "$folder/model/"
  build model tests/node/images/model.Dockerfile "$folder/model"
  save model
  gcc -static -Os -s -Wall -Werror -o "$folder/pause/pause" tests/node/images/pause.c
  build pause tests/node/images/pause.Dockerfile "$folder/pause"
  save pause
}

mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
begun=$SECONDS
make_base
build_router
[ "${1:-}" != --node ] || build_node_images
podman image prune --force --filter until=48h >/dev/null  # layers of earlier builds
say "images built in $(((SECONDS - begun) / 60)) min $(((SECONDS - begun) % 60)) s"
