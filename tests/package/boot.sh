#!/usr/bin/env bash
# Boots systemd as the first process of new namespaces (processes, mounts, network, IPC, host name, control groups), on a copy of ROOT in
# memory. When this process ends, only the control group remains, which the next start removes. Needs root.
#
#   boot.sh ROOT SHARED     the folder SHARED is mounted as /shared
set -euo pipefail

cgroups=/sys/fs/cgroup
[ -e $cgroups/cgroup.controllers ] || cgroups=/sys/fs/cgroup/unified  # a machine that also has version 1

# First process of the new namespaces.
inside() {  # ROOT SHARED
  local work=$2/machine
  mkdir -p "$work"
  mount -t tmpfs tmpfs "$work"
  mkdir "$work/upper" "$work/work" "$work/root"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$work/upper,workdir=$work/work" "$work/root"
  cd "$work/root"
  mkdir -p shared old
  mount --bind "$2" shared
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=755 tmpfs dev
  local device
  for device in null zero full random urandom tty; do touch dev/$device && mount --bind /dev/$device dev/$device; done
  ln -s /proc/self/fd dev/fd
  mkdir dev/pts dev/shm
  mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
  ln -s pts/ptmx dev/ptmx
  mount -t tmpfs tmpfs dev/shm
  : >etc/machine-id
  echo package-test >etc/hostname
  echo '127.0.0.1 localhost package-test' >etc/hosts
  pivot_root . old
  umount -l /old
  mount --make-rshared /  # as systemd does outside of containers: a child process of it mounts the credentials
  exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --show-status=no --log-target=journal \
    --unit=multi-user.target
}

if [ "$1" = --inside ]; then
  inside "$2" "$3"
fi
for stale in "$cgroups"/inference-router-package-*; do
  [ ! -d "$stale" ] || [ -e "/proc/${stale##*-}" ] || find "$stale" -depth -type d -exec rmdir {} + 2>/dev/null || true
done
mkdir "$cgroups/inference-router-package-$$"
echo $$ >"$cgroups/inference-router-package-$$/cgroup.procs"
exec unshare --cgroup --mount --pid --net --uts --ipc --fork --kill-child "$0" --inside "$1" "$2" </dev/null
