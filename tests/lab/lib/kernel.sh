# The box's kernel, from Debian's kernel source with as little switched on as the lab needs.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# build_kernel KIND: prints a directory with `kernel`, what a boot loader is given after unwrapping the uImage, and
# `modules`, what a story loads that needs NAND, UBI or another thing no flash chip of the box has.
build_kernel() {
	local parts version
	version=$(debian_version linux-source-6.1)
	target "$1"
	parts=("${fragments[@]/#/$lab/kernel/}")
	parts=("${parts[@]/%/.frag}")
	once "kernel-$1" "$(key "$version" "$lab/lib/kernel.sh" "${parts[@]}")" \
		make_kernel "$1" "${parts[@]}"
}

# make_kernel KIND FRAGMENT…
make_kernel() {
	local kind=$1 config=$work/$1.frag build=$work/linux-$1 line
	shift
	cat "$@" >"$config"
	unpack_linux
	kernel_make "$build" KCONFIG_ALLCONFIG="$config" allnoconfig
	# A symbol that does not exist, or whose dependencies are off, is dropped without a word.
	while read -r line; do
		grep -qxF "$line" "$build/.config" || die "the kernel's configuration lacks $line"
	done < <(grep '^CONFIG_' "$config")
	case $kind in
	armel)
		kernel_make "$build" zImage versatile-pb.dtb modules
		# The device tree goes with the kernel, as on boxes whose boot loader knows of none.
		cat "$build/arch/arm/boot/zImage" "$build/arch/arm/boot/dts/versatile-pb.dtb" >kernel
		;;
	*)
		kernel_make "$build" vmlinux modules
		"$triplet-strip" -o kernel "$build/vmlinux"
		;;
	esac
	mkdir modules
	find "$build" -name '*.ko' -exec cp -t modules {} +
	"$triplet-strip" --strip-debug modules/*.ko
	rm -rf "$build"
}

kernel_make() {
	local build=$1
	shift
	nice make -s -j"$jobs" -C "$work/linux" O="$build" ARCH="$arch" CROSS_COMPILE="$triplet-" \
		KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab "$@"
}

unpack_linux() {
	[[ ! -d $work/linux ]] || return 0
	mkdir "$work/linux" linux.download
	(cd linux.download && apt-get -q download linux-source-6.1)
	dpkg-deb --fsys-tarfile linux.download/*.deb | tar -xO ./usr/src/linux-source-6.1.tar.xz |
		tar -xJ -C "$work/linux" --strip-components 1
	rm -r linux.download
}
