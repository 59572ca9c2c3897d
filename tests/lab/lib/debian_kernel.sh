# Debian's own kernel for a PC, for the takeover that `flasher demo` shows: of its package only what the demo looks for. The
# smaller linux-image-cloud-amd64 has no MTD.
# shellcheck shell=bash disable=SC2154
# (set by common.sh)

# build_debian_kernel: prints a directory with `boot/` and `lib/modules/`, as they are in the root of a machine.
build_debian_kernel() {
	local package
	package=$(apt-cache show --no-all-versions linux-image-amd64 2>/dev/null |
		sed -n 's/^Depends: \(linux-image-[^ ]*\) (= \([^)]*\)).*$/\1=\2/p')
	[[ -n $package ]] || die 'apt does not know linux-image-amd64: run apt-get update'
	once debian-kernel "$(key "$package" "$lab/lib/debian_kernel.sh")" make_debian_kernel "$package"
}

# make_debian_kernel PACKAGE=VERSION: 70 MB are downloaded, and 8 MB kept.
make_debian_kernel() {
	mkdir "$work/debian-kernel"
	(cd "$work/debian-kernel" && apt-get -q download "$1")
	dpkg-deb --fsys-tarfile "$work"/debian-kernel/*.deb | tar -x --wildcards \
		'./boot/vmlinuz-*' './lib/modules/*/kernel/drivers/mtd/mtd.ko*' './lib/modules/*/kernel/drivers/mtd/devices/phram.ko*'
}
