#!/usr/bin/env bash
# Tests tests/support/other_debian.sh with a root that has a few programs of this machine: what the command finds there, and what is left
# when the script ends in any way.
set -euo pipefail
script=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/tests/support/other_debian.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p tests/support
cp "$script" tests/support/
echo "of this checkout" >source
wrong=0
complain() { printf 'other_debian_test: %s\n' "$1" >&2; cat log >&2; wrong=1; }
run() { XDG_CACHE_HOME=$work/cache tests/support/other_debian.sh "$@" >log 2>&1 && status=0 || status=$?; }

if [ "$(id -u)" != 0 ]; then
  run true
  [ "$status" = 1 ] && grep -q "only root" log || complain "a user other than root is not refused"
  exit "$wrong"
fi
other=trixie
if (. /etc/os-release && [ "${VERSION_ID:-}" != 12 ]); then other=bookworm; fi
root=build/other-debian/$other
mkdir -p "$root"/{source,ccache,proc,dev,sys,tmp,etc,usr/bin}
ln -s usr/bin "$root/bin"
for program in sh env sleep cat touch; do
  cp "$(command -v "$program")" "$root/usr/bin/"
  for library in $(ldd "$(command -v "$program")" | grep -oE '/[^ ]+'); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
done

left() {  # checks that no mount is left below, and that no process has its root there
  if grep -F "$work" /proc/self/mounts >&2; then complain "$1: something is still mounted"; fi
  local process
  for process in /proc/[0-9]*; do
    case $(readlink "$process/root" 2>/dev/null || true) in "$work"*) complain "$1: $(tr '\0' ' ' <"$process/cmdline") is still running" ;; esac
  done
}
run cat source
if grep -q "cannot be kept to one process" log; then  # the test runs in a chroot on a machine that shares its mounts
  left "after it was refused"
  exit "$wrong"
fi
[ "$status" = 0 ] && grep -qx "of this checkout" log || complain "the command does not find the sources"
left "after a command"
run sh -c 'touch build/made /ccache/kept; sleep 300 & exit 3'
[ "$status" = 3 ] || complain "the exit status is not the command's"
[ -e build/other-debian/build/made ] && [ ! -e build/made ] || complain "the build folder is not one of its own"
[ -e "cache/inference-router/ccache-$other/kept" ] || complain "ccache's files do not stay"
left "after a command that has left a process behind"
# A shell starts background processes with SIGINT ignored, so `env` restores the default.
for signal in INT TERM HUP KILL; do
  rm -f build/other-debian/build/begun
  XDG_CACHE_HOME=$work/cache setsid env --default-signal=INT tests/support/other_debian.sh sh -c 'touch build/begun; sleep 300' >log 2>&1 &
  script_itself=$!
  for _ in {1..200}; do [ -e build/other-debian/build/begun ] && break; sleep 0.05; done
  [ -e build/other-debian/build/begun ] || complain "$signal: the command does not begin"
  kill -"$signal" "$script_itself"
  if wait "$script_itself" 2>/dev/null; then complain "$signal: ended as if the command had succeeded"; fi
  for _ in {1..100}; do ps -e -o args= | grep -F "sh -c touch build/begun" | grep -qvF grep || break; sleep 0.05; done  # killed processes take a moment to end
  left "$signal"
done
exit "$wrong"
