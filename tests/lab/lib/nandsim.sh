# The kernel's NAND simulator once more, with its log: what the chip itself was told to read, program and erase, for the
# comparison in tests/bench. In the kernel of the boxes those messages (`pr_debug` in drivers/mtd/nand/raw/nandsim.c) are
# compiled out; CONFIG_DYNAMIC_DEBUG would have all of the kernel's.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# build_nandsim: prints a directory with `nandsim.ko` for the armel kernel, which logs with `log=1`.
build_nandsim() {
	local parts version
	version=$(debian_version linux-source-6.1)
	target armel
	parts=("${fragments[@]/#/$lab/kernel/}")
	parts=("${parts[@]/%/.frag}")
	once nandsim-armel "$(key "$version" "$lab/lib/kernel.sh" "$lab/lib/nandsim.sh" "${parts[@]}")" \
		make_nandsim "${parts[@]}"
}

# make_nandsim FRAGMENT…
make_nandsim() {
	local config=$work/nandsim.frag build=$work/linux-nandsim
	cat "$@" >"$config"
	unpack_linux
	kernel_make "$build" KCONFIG_ALLCONFIG="$config" allnoconfig
	kernel_make "$build" modules_prepare
	# The symbols that it needs are those of a kernel that was built elsewhere, from the same source.
	kernel_make "$build" KBUILD_MODPOST_WARN=1 CFLAGS_nandsim.o=-DDEBUG drivers/mtd/nand/raw/nandsim.ko
	cp "$build/drivers/mtd/nand/raw/nandsim.ko" .
	"$triplet-strip" --strip-debug nandsim.ko
	rm -rf "$build"
}
