# Debian's own kernels for a PC, for stories of machines that nothing is built for: of the package only what such a story needs,
# and a busybox. The smaller linux-image-cloud-amd64 has no MTD.
# shellcheck shell=bash disable=SC2154
# (set by common.sh)

# build_debian_kernel ARCHITECTURE: prints a directory with `boot/`, `lib/modules/` and `bin/busybox`, as they are in the root of a
# machine. The architecture is Debian's word: amd64 or i386.
build_debian_kernel() {
	once "debian-kernel-$1" "$(key "$lab"/lib/{apt,debian_kernel}.sh)" make_debian_kernel "$1"
}

# make_debian_kernel ARCHITECTURE: 70 MB are downloaded, and 10 MB kept. Debian 12 is the last one that has a kernel of 32 bits.
make_debian_kernel() {
	local architecture=$1 flavour=$1 image package
	[[ $architecture != i386 ]] || flavour=686
	apt_of bookworm "$architecture" get update
	image=$(apt_of bookworm "$architecture" cache show --no-all-versions "linux-image-$flavour:$architecture" |
		sed -n 's/^Depends: \(linux-image-[^ ]*\) .*$/\1/p')
	mkdir "$work/debian-kernel" "$work/debian-busybox"
	for package in "$image" busybox-static; do
		(cd "$work/debian-kernel" && apt_of bookworm "$architecture" get download "$package:$architecture")
	done
	dpkg-deb --fsys-tarfile "$work"/debian-kernel/linux-image-*.deb | tar -x --wildcards \
		'./boot/vmlinuz-*' './lib/modules/*/kernel/drivers/mtd/mtd.ko*' './lib/modules/*/kernel/drivers/mtd/devices/phram.ko*' \
		'./lib/modules/*/kernel/fs/binfmt_misc.ko*'
	dpkg-deb -x "$work"/debian-kernel/busybox-static_*.deb "$work/debian-busybox"
	mkdir bin
	cp "$work/debian-busybox/bin/busybox" bin/
}
