# mtd-utils: what others write flash with, for the comparison in tests/bench, ftl_format for a story of the lab, and a busybox
# that loads modules. Debian's own binaries, with the C library they are linked against. Those of Debian 13: `flashcp -p` of
# Debian 12 (2.1.5) ends with "While reading data from …: Bad address" where erase blocks have 128 KiB.
# shellcheck shell=bash disable=SC2154
# (set by common.sh)

# build_mtd_utils ARCHITECTURE: prints a directory with `bin/` and `lib/`. The architecture is Debian's word: armel or amd64.
build_mtd_utils() {
	once "mtd-utils-$1" "$(key "$lab/lib/mtd_utils.sh")" make_mtd_utils "$1"
}

make_mtd_utils() {
	local architecture=$1 package
	mkdir "$work/debs" "$work/mtd-utils" bin lib
	apt_of trixie "$architecture" get update
	(
		cd "$work/debs" && apt_of trixie "$architecture" get download {mtd-utils,busybox-static}:"$architecture"
		# The C library is in two packages. An archive may lack a build of one for a while: its lists are ahead of its files.
		apt_of trixie "$architecture" get download "libc6:$architecture" ||
			apt_of trixie "$architecture" get download "libc6-$architecture-cross"
	)
	for package in "$work"/debs/*.deb; do
		dpkg-deb -x "$package" "$work/mtd-utils"
		basename "$package" .deb >>versions
	done
	cp "$work"/mtd-utils/usr/{sbin/{flashcp,flash_erase,ftl_format,nandwrite},bin/busybox} bin/
	# ld-linux.so.3 and ld-linux-x86-64.so.2 may be links to it.
	cp -L "$(find "$work/mtd-utils/usr" -name 'ld-linux*.so.*' | head -n 1)" lib/ld.so
	cp -L "$(find "$work/mtd-utils/usr" -name libc.so.6 | head -n 1)" lib/
}
