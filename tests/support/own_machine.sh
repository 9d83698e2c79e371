#!/usr/bin/env bash
# Runs a command as on a machine of its own: in new namespaces of processes, mounts, networks, IPC and host names, with a control group
# of its own. All processes, mounts and settings of the command are gone when it ends, however it ends. This machine's network and kernel
# settings are not changed. Needs root.
#
#   own_machine.sh COMMAND...     exit status: the command's
#
# The command finds a network that has only the loopback interface, an empty /run, /var/log, /var/lib/kubelet, /var/lib/cni and
# /etc/cni, and in the environment OWN_MACHINE_CGROUP, the path of the control group below each hierarchy's root.
set -euo pipefail

# Settings that a kubelet and a container runtime would change in the kernel for all namespaces. They find them already set.
kernel_settings() {
  printf '%s\n' vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 \
    kernel/keys/root_maxbytes=25000000
}

# The first process of the new namespaces. It adopts orphaned processes, so it stays a shell.
inside() {
  local folder setting
  for folder in /run /var/log /var/lib/kubelet /var/lib/cni /etc/cni; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=755 tmpfs "$folder"
  done
  mkdir /run/lock /run/settings
  for setting in $(kernel_settings); do
    # Replaces /proc's own file, which would change the kernel.
    echo "${setting#*=}" >"/run/settings/$(basename "${setting%=*}")"
    mount --bind "/run/settings/$(basename "${setting%=*}")" "/proc/sys/${setting%=*}"
  done
  ip link set lo up
  "$@"
}

cgroup_roots() { if [ -e /sys/fs/cgroup/cgroup.procs ]; then echo /sys/fs/cgroup; else ls -d /sys/fs/cgroup/*/; fi; }
remove_cgroups() {
  local root
  for root in $(cgroup_roots); do
    [ ! -d "$root$OWN_MACHINE_CGROUP" ] || find "$root$OWN_MACHINE_CGROUP" -depth -type d -exec rmdir {} +
  done
}
# Removes the control groups of runs that were killed. Their processes have ended with them.
remove_stale() {
  local root group
  for root in $(cgroup_roots); do
    for group in "$root"/inference-router-*; do
      if [ -d "$group" ] && [ ! -e "/proc/${group##*-}" ]; then OWN_MACHINE_CGROUP=/${group##*/} remove_cgroups 2>/dev/null || true; fi
    done
  done
}
# All processes are killed at once, and take a moment to end.
clean_up() {
  local tries
  for tries in $(seq 50); do
    if remove_cgroups 2>/dev/null; then return; fi
    sleep 0.2
  done
  remove_cgroups || true
}

if [ "${1:-}" = --inside ]; then
  shift
  inside "$@"
  exit
fi
[ "$(id -u)" = 0 ] || { echo "own_machine.sh: only root may make namespaces" >&2; exit 1; }
remove_stale
export OWN_MACHINE_CGROUP=/inference-router-$$
trap clean_up EXIT
for root in $(cgroup_roots); do
  mkdir -p "$root$OWN_MACHINE_CGROUP"
  # A cpuset of version 1 accepts no process without these.
  for list in cpus mems; do
    [ ! -e "$root$OWN_MACHINE_CGROUP/cpuset.$list" ] || cat "$root/cpuset.$list" >"$root$OWN_MACHINE_CGROUP/cpuset.$list" 2>/dev/null || true
  done
done
setpriv --pdeathsig KILL unshare --mount --propagation private --net --pid --ipc --uts --fork --kill-child --mount-proc "$0" --inside "$@" &
machine=$!
trap 'kill -KILL "$machine" 2>/dev/null || true' INT TERM HUP
status=0
wait "$machine" || status=$?
wait "$machine" 2>/dev/null || true  # a signal may have ended the first wait
exit "$status"
