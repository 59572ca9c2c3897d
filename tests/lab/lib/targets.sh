# The kinds of box, and what each is built with.
# shellcheck shell=bash disable=SC2034
# (read by the other parts)

# target KIND: sets `arch` (the kernel's word), `triplet` (the cross compiler's), `fragments`.
target() {
	case $1 in
	armel)
		arch=arm triplet=arm-linux-gnueabi
		fragments=(common nor virtio modules versatile)
		;;
	mips)
		arch=mips triplet=mips-linux-gnu
		fragments=(common nor virtio malta big-endian)
		;;
	mipsel)
		arch=mips triplet=mipsel-linux-gnu
		fragments=(common nor virtio malta little-endian)
		;;
	um)
		# User Mode Linux: a kernel that is a program of the workstation, an x86-64.
		arch=um triplet=x86_64-linux-gnu
		fragments=(um)
		;;
	*)
		die "no such kind of box: $1 (armel, mips or mipsel)"
		;;
	esac
	command -v "$triplet-gcc" >/dev/null ||
		die "$triplet-gcc is missing: apt-get install gcc-$triplet and libc6-dev for it"
}
