# The box as a whole: its kernel, and the tree from which firmware is packed.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# build_box KIND: prints a directory with `kernel`, `modules/`, `root/`, and the programs `linux-2.6.32`, `nbd-self` and
# `stack-block`, which a story puts into its firmware or onto its data disk.
build_box() {
	local kernel busybox dropbear
	kernel=$(build_kernel "$1")
	busybox=$(build_busybox "$1")
	dropbear=$(build_dropbear "$1")
	target "$1"
	once "box-$1" "$(key "${kernel##*-}" "${busybox##*-}" "${dropbear##*-}" "$lab/lib/box.sh" "$lab/box")" \
		make_box "$kernel" "$busybox" "$dropbear"
}

# make_box KERNEL BUSYBOX DROPBEAR
make_box() {
	cp "$1/kernel" kernel
	cp -a "$1/modules" modules
	local program
	for program in linux-2.6.32 nbd-self stack-block; do
		"$triplet-gcc" -std=gnu11 -Wall -Wextra -Werror -Os -static -s -o "$program" "$lab/box/$program.c"
	done
	mkdir root
	cp -a "$2/root/." "$3/root/." root/
	mkdir -p root/{config,dev,etc/init.d,mnt/data,proc,root,run,sys,tmp,usr/sbin,var}
	cp "$lab/box/inittab" "$lab/box/passwd" "$lab/box/group" root/etc/
	install -m 755 "$lab/box/rcS" root/etc/init.d/rcS
	install -m 755 "$lab/box/lab-stuck" root/usr/sbin/lab-stuck
	# Keys are put into the config partition by whoever starts the box; the host key is made at each start.
	ln -s /config/ssh root/root/.ssh
	ln -s /run/dropbear root/etc/dropbear
	ln -s ../run root/var/run
	ln -s ../tmp root/var/tmp
}
