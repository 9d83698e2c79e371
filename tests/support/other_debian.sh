#!/usr/bin/env bash
# Runs a command in this checkout as on the other Debian that the project supports: 13 on a machine with 12, 12 on every other machine.
# debootstrap makes its root, which has its own build folder and ccache; only the sources are shared. Needs root, and no container engine.
#
#   other_debian.sh COMMAND...     exit status: the command's
#
# The command runs in new namespaces of mounts and processes, so no mount and no process is left, however this script ends. The root
# stays in build/other-debian until that folder is removed. DEBIAN_MIRROR names another mirror than deb.debian.org.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

release=trixie
if (. /etc/os-release && [ "${VERSION_ID:-}" != 12 ]); then release=bookworm; fi
folder=$PWD/build/other-debian
root=$folder/$release
cache=${XDG_CACHE_HOME:-$HOME/.cache}/inference-router/ccache-$release

say() { printf '%s\n' "$*" >&2; }
die() { say "tests/support/other_debian.sh: $*"; exit 1; }

make_root() {
  [ ! -d "$root" ] || return 0
  command -v debootstrap >/dev/null || die "there is no debootstrap: ./dev setup other-debian"
  say "making a root of $release with debootstrap"
  rm -rf "$root.new"
  debootstrap --variant=minbase "$release" "$root.new" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$folder/debootstrap.log" 2>&1 \
    || { tail -n 5 "$folder/debootstrap.log" >&2; die "debootstrap failed: $folder/debootstrap.log"; }
  echo force-unsafe-io >"$root.new/etc/dpkg/dpkg.cfg.d/unsafe-io"  # safe here: a root that a crash has damaged is made again
  mkdir -p "$root.new/source" "$root.new/ccache"
  mv "$root.new" "$root"
}
# Whether a mount in a namespace with that propagation is invisible outside of it.
mounts_stay_inside() {  # PROPAGATION
  mkdir -p "$folder/probe"
  unshare --mount --propagation "$1" sh -c 'mount -t tmpfs tmpfs "$1" && touch "$1/seen"' sh "$folder/probe" 2>/dev/null || return 1
  [ ! -e "$folder/probe/seen" ] || { umount "$folder/probe"; return 1; }
}
# The first process of the new namespaces. When it ends, all others end, too.
inside() {
  local file
  make_root
  mount --bind "$PWD" "$root/source"
  mkdir -p "$folder/build" "$cache"
  mount --bind "$folder/build" "$root/source/build"
  mount --bind "$cache" "$root/ccache"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  mount -t tmpfs tmpfs "$root/tmp"
  for file in /etc/resolv.conf /etc/hosts; do [ ! -e "$file" ] || cp "$file" "$root/etc/"; done
  local variable environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 CCACHE_DIR=/ccache)
  for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -z "${!variable:-}" ] || environment+=("$variable=${!variable}")
  done
  chroot "$root" env -i "${environment[@]}" sh -c 'cd /source && exec "$@"' sh "$@"
}

if [ "${1:-}" = --inside ]; then
  shift
  inside "$@"
  exit
fi
[ "$(id -u)" = 0 ] || die "only root may make namespaces and change the root"
[ $# -gt 0 ] || die "which command?"
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
if mounts_stay_inside private; then
  propagation=private
elif mounts_stay_inside unchanged; then
  propagation=unchanged  # in a chroot, whose root is not a mount
else
  die "what is mounted here cannot be kept to one process"
fi
setpriv --pdeathsig KILL unshare --mount --propagation "$propagation" --pid --ipc --fork --kill-child "$0" --inside "$@" 9>&- &
machine=$!
trap 'kill -KILL "$machine" 2>/dev/null || true' INT TERM HUP
status=0
wait "$machine" || status=$?
wait "$machine" 2>/dev/null || true  # a signal may have ended the first wait
exit "$status"
