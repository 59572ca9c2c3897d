# User Mode Linux: a kernel that is a program of this machine and as fast, for the comparison in tests/bench. It is no kind of
# box: it has no flash but the kernel's NAND simulator.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# build_uml: prints a directory with `linux`, which is started like any program, and its `modules/`.
build_uml() {
	local version
	version=$(debian_version linux-source-6.1)
	target um
	once kernel-um "$(key "$version" "$lab/lib/uml.sh" "$lab/kernel/um.frag")" make_uml
}

make_uml() {
	local build=$work/linux-um line
	unpack_linux
	# It moves the registers of its processes with ptrace(2), which takes all of them or none, and has room for those that
	# processors had in 2017. With the tiles of AMX they are four times as many; Linux 6.13 and later ask for their size.
	sed -i 's/DEFINE_LONGS(HOST_FP_SIZE, 2696)/DEFINE_LONGS(HOST_FP_SIZE, 16384)/' "$work/linux/arch/x86/um/user-offsets.c"
	kernel_make "$build" KCONFIG_ALLCONFIG="$lab/kernel/um.frag" allnoconfig
	while read -r line; do
		grep -qxF "$line" "$build/.config" || die "the kernel's configuration lacks $line"
	done <"$lab/kernel/um.frag"
	kernel_make "$build" vmlinux modules
	"$triplet-strip" -o linux "$build/vmlinux"
	mkdir modules
	find "$build" -name '*.ko' -exec cp -t modules {} +
	"$triplet-strip" --strip-debug modules/*.ko
	rm -rf "$build"
}
