# busybox: init, shell and everything else in the box.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# build_busybox KIND: prints a directory with `root/`, busybox and its links.
build_busybox() {
	local version
	version=$(debian_version busybox)
	target "$1"
	once "busybox-$1" "$(key "$version" "$lab/lib/busybox.sh" "$lab/box/busybox.applets")" make_busybox
}

make_busybox() {
	local out=$PWD build=$PWD/build symbol symbols
	mapfile -t symbols < <(grep -v '^#' "$lab/box/busybox.applets" | tr ' ' '\n')
	upstream busybox
	mkdir "$build"
	busybox_make allnoconfig
	for symbol in "${symbols[@]}"; do
		sed -i "s/^# CONFIG_$symbol is not set/CONFIG_$symbol=y/" "$build/.config"
	done
	# Its configuration knows no `olddefconfig`: an empty answer takes the default. `yes` ends by a broken pipe.
	(yes '' || true) | busybox_make oldconfig
	for symbol in "${symbols[@]}"; do
		grep -q "^CONFIG_$symbol=y" "$build/.config" || die "busybox's configuration lacks $symbol"
	done
	busybox_make CONFIG_PREFIX="$out/root" install
	rm -rf "$build"
}

busybox_make() {
	nice make -s -j"$jobs" -C "$work/busybox" O="$build" CROSS_COMPILE="$triplet-" "$@"
}
