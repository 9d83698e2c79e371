#!/bin/sh
# Runs a program as a container runtime would, as the same process:
#   container.sh ROOT USER GROUP GROUPS READ_ONLY PROGRAM [VOLUME PLACE]... -- ARGUMENT...
# ROOT is an empty folder, which becomes the program's `/`: it gets Debian's programs and libraries, a few files of /etc, the volumes,
# and PROGRAM as /inference-router. Needs a mount namespace of its own. The program has no capability and cannot gain one.
set -eu
root=$1 user=$2 group=$3 groups=$4 read_only=$5 program=$6
shift 6
bind() {  # FROM TO [OPTION]
  mount --bind "$1" "$root$2"
  mount -o "remount,bind,ro" "$root$2"
}
mount -t tmpfs -o mode=755,size=1m tmpfs "$root"
mkdir -p "$root/etc" "$root/proc" "$root/sys" "$root/dev" "$root/usr"
for folder in bin sbin lib lib64; do
  if [ -L "/$folder" ]; then ln -s "$(readlink "/$folder")" "$root/$folder"; elif [ -d "/$folder" ]; then mkdir "$root/$folder"; bind "/$folder" "/$folder"; fi
done
bind /usr /usr
for file in /etc/ld.so.cache /etc/nsswitch.conf /etc/passwd /etc/group; do
  [ ! -e "$file" ] || { touch "$root$file"; bind "$file" "$file"; }
done
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
touch "$root/inference-router"
bind "$program" /inference-router
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  bind "$1" "$2"
  shift 2
done
shift
[ "$read_only" = false ] || mount -o remount,ro "$root"
cd /
exec /usr/sbin/chroot "$root" /usr/bin/setpriv --reuid "$user" --regid "$group" --groups "$groups" --inh-caps=-all --bounding-set=-all --no-new-privs \
  --pdeathsig KILL /inference-router "$@"
