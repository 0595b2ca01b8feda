#!/bin/busybox sh
# The first process of the guest: makes the host's files its root, read-only below a layer in memory,
# runs /command there, says on the second serial line what it says and on the third how it ended.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
/bin/busybox --install -s /bin

give_up() {
    echo "init: $*" >/dev/ttyS1
    poweroff -f
}

mkdir -p /proc /sys /dev /host /layer /new
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
stty -F /dev/ttyS1 raw -echo
for module in /modules/*.ko; do
    insmod "$module" || give_up "cannot load $module"
done

mount -t virtiofs -o ro host /host || give_up "no files of the host"
mount -t tmpfs layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work root /new ||
    give_up "no writable root"
mount -t proc proc /new/proc
mount -t sysfs sys /new/sys
mount -t devtmpfs dev /new/dev
mount -t tmpfs run /new/run
mount -t bpf bpf /new/sys/fs/bpf
mount -t tracefs tracing /new/sys/kernel/tracing
mount -t cgroup2 cgroup /new/sys/fs/cgroup
ip link set lo up
cp /command /new/run/command

chroot /new /bin/sh /run/command </dev/null >/dev/ttyS1 2>&1
echo $? >/dev/ttyS2
poweroff -f
