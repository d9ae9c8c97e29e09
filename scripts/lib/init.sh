#!/bin/sh
# The first process of the default guest: a few mounts, one line that says the
# guest is up, then a shell. Leaving the shell turns the machine off.
export PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/root TERM="${TERM:-vt100}"
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
hostname guest
cd /root || exit
echo "Guest is up: Linux $(uname -r), CPUs online: $(nproc)"
setsid cttyhack sh
poweroff
