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
for module in /lib/modules/*.ko; do
    # A driver without its device is no matter.
    insmod "$module" 2>/dev/null
done
cd /root || exit

# busybox's poweroff, reboot and halt ask the first process by these signals.
trap 'exec poweroff -f' USR2
trap 'exec reboot -f' TERM
trap 'exec halt -f' USR1

echo "Guest is up: Linux $(uname -r), CPUs online: $(nproc)"
# In the background, for only `wait` lets a signal's trap run at once.
# cttyhack gives the shell its terminal back.
setsid cttyhack sh &
wait $!
exec poweroff -f
