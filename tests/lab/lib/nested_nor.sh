# A NOR chip in RAM with partitions inside of partitions: a module of our own, against the kernel of the boxes.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# build_nested_nor: prints a directory with `nested_nor.ko` for the armel kernel.
build_nested_nor() {
	local parts version
	version=$(debian_version linux-source-6.1)
	target armel
	parts=("${fragments[@]/#/$lab/kernel/}")
	parts=("${parts[@]/%/.frag}")
	once nested-nor-armel \
		"$(key "$version" "$lab/lib/kernel.sh" "$lab/lib/nested_nor.sh" "$lab/kernel/nested_nor.c" "${parts[@]}")" \
		make_nested_nor "${parts[@]}"
}

# make_nested_nor FRAGMENT…
make_nested_nor() {
	local config=$work/nested-nor.frag build=$work/linux-nested-nor
	cat "$@" >"$config"
	unpack_linux
	kernel_make "$build" KCONFIG_ALLCONFIG="$config" allnoconfig
	kernel_make "$build" modules_prepare
	mkdir "$work/nested-nor"
	cp "$lab/kernel/nested_nor.c" "$work/nested-nor/"
	echo 'obj-m := nested_nor.o' >"$work/nested-nor/Makefile"
	# The symbols that it needs are those of a kernel that was built elsewhere, from the same source.
	kernel_make "$build" KBUILD_MODPOST_WARN=1 M="$work/nested-nor" modules
	cp "$work/nested-nor/nested_nor.ko" .
	"$triplet-strip" --strip-debug nested_nor.ko
	rm -rf "$build"
}
