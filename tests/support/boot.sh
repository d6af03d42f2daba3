#!/usr/bin/env bash
# The first process of tests.support.machine, in namespaces of its own: makes a throw-away root over this
# machine's, with hotfolder installed in it, and becomes systemd. Nothing written below stays.
#   boot.sh WORK PYTHON VENV SRC UNITS
set -euo pipefail
work=$1 python=$2 venv=$3 src=$4 units=$5
new=$work/root

mount --make-rprivate /
mount -t tmpfs tmpfs "$work"
mkdir -p "$new" "$work"/{up,tmp,venv-up,venv-tmp,targets}
mount -t overlay -o "lowerdir=/,upperdir=$work/up,workdir=$work/tmp" overlay "$new"

mkdir -p "$new"/opt/{hotfolder,python,src}
mount --bind "$python" "$new/opt/python" # it may stand in a home folder, which the unit hides
mount -t overlay -o "lowerdir=$venv,upperdir=$work/venv-up,workdir=$work/venv-tmp" overlay "$new/opt/hotfolder"
mount --bind "$src" "$new/opt/src"
# The environment was made for another place, and may point to the source there.
interpreter=$(basename "$(readlink -f "$venv/bin/python")")
ln -sfn "/opt/python/bin/$interpreter" "$new/opt/hotfolder/bin/python"
sed -i 's|^home = .*|home = /opt/python/bin|' "$new/opt/hotfolder/pyvenv.cfg"
sed -i '1s|.*|#!/opt/hotfolder/bin/python|' "$new/opt/hotfolder/bin/hotfolder"
for site in "$new"/opt/hotfolder/lib/python3*/site-packages; do echo /opt/src >"$site/hotfolder-test.pth"; done
echo /opt/python/lib >"$new/etc/ld.so.conf.d/00-python.conf" # its libpython, if it is a library
chroot "$new" /sbin/ldconfig

mount -t proc proc "$new/proc"
mount --bind "$new/proc/sys" "$new/proc/sys"
mount -o remount,bind,ro "$new/proc/sys" # systemd shall not set up the machine it is a guest of
mount -t sysfs -o ro sysfs "$new/sys"
mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$new/dev"
for name in null zero full random urandom tty; do
    touch "$new/dev/$name"
    mount --bind "/dev/$name" "$new/dev/$name"
done
mkdir "$new"/dev/{shm,pts} # PrivateDevices= takes both over
mount -t tmpfs tmpfs "$new/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$new/dev/pts"
ln -s pts/ptmx "$new/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mount -t tmpfs tmpfs "$new/tmp"

# Of this machine's units only the skeleton, and ours.
system=$new/usr/lib/systemd/system
for unit in basic.target sysinit.target multi-user.target network-online.target local-fs.target \
    remote-fs.target sockets.target timers.target paths.target slices.target shutdown.target \
    systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
    if [ -e "$system/$unit" ]; then cp -P "$system/$unit" "$work/targets"; fi
done
rm -rf "$system" "$new/etc/systemd/system"
mkdir -p "$system/sysinit.target.wants" "$new/etc/systemd/system"
cp -P "$work"/targets/* "$system"
ln -s ../systemd-journald.service "$system/sysinit.target.wants/"
ln -s multi-user.target "$system/default.target"
: >"$new/etc/fstab"
cp "$units"/*.service "$new/etc/systemd/system"
mkdir -p "$new/etc/sysusers.d" "$new/etc/tmpfiles.d"
cp "$units/hotfolder.sysusers.conf" "$new/etc/sysusers.d/hotfolder.conf"
cp "$units/hotfolder.tmpfiles.conf" "$new/etc/tmpfiles.d/hotfolder.conf"

cd "$new"
mkdir .old
pivot_root . .old
umount -l /.old
mount --make-rshared / # as systemd does on a machine that is no guest: mounts made later reach its services
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /usr/lib/systemd/systemd --system --log-target=journal --show-status=no
