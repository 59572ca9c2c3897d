# Kernel modules of our own, tests/lab/kernel/NAME.c, against the kernel of the armel boxes.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# build_module NAME: prints a directory with `NAME.ko`.
build_module() {
	local name=$1 parts version
	version=$(debian_version linux-source-6.1)
	target armel
	parts=("${fragments[@]/#/$lab/kernel/}")
	parts=("${parts[@]/%/.frag}")
	once "module-${name//_/-}-armel" \
		"$(key "$version" "$lab/lib/kernel.sh" "$lab/lib/module.sh" "$lab/kernel/$name.c" "${parts[@]}")" \
		make_module "$name" "${parts[@]}"
}

# make_module NAME FRAGMENT…
make_module() {
	local name=$1 config=$work/$1.frag build=$work/linux-$1
	shift
	cat "$@" >"$config"
	unpack_linux
	kernel_make "$build" KCONFIG_ALLCONFIG="$config" allnoconfig
	kernel_make "$build" modules_prepare
	mkdir "$work/module"
	cp "$lab/kernel/$name.c" "$work/module/"
	echo "obj-m := $name.o" >"$work/module/Makefile"
	# The symbols that it needs are those of a kernel that was built elsewhere, from the same source.
	kernel_make "$build" KBUILD_MODPOST_WARN=1 M="$work/module" modules
	cp "$work/module/$name.ko" .
	"$triplet-strip" --strip-debug "$name.ko"
	rm -rf "$build"
}
