# mtd-utils: what others write flash with, for the comparison in tests/bench, and a busybox that loads modules. Debian's own
# binaries, with the C library they are linked against. Those of Debian 13: `flashcp -p` of Debian 12 (2.1.5) ends with
# "While reading data from …: Bad address" where erase blocks have 128 KiB.
# shellcheck shell=bash disable=SC2154
# (set by common.sh)

# build_mtd_utils: prints a directory with `bin/` and `lib/`, for armel.
build_mtd_utils() {
	once mtd-utils-armel "$(key "$lab/lib/mtd_utils.sh")" make_mtd_utils
}

make_mtd_utils() {
	local package
	mkdir "$work/debs" "$work/mtd-utils" bin lib
	armel_apt update
	(cd "$work/debs" && armel_apt download mtd-utils:armel busybox-static:armel libc6:armel)
	for package in "$work"/debs/*.deb; do
		dpkg-deb -x "$package" "$work/mtd-utils"
		basename "$package" .deb >>versions
	done
	cp "$work"/mtd-utils/usr/{sbin/{flashcp,flash_erase,nandwrite},bin/busybox} bin/
	cp -L "$work"/mtd-utils/usr/lib/{ld-linux.so.3,arm-linux-gnueabi/libc.so.6} lib/
}

# armel_apt COMMAND…: apt-get with this machine's Debian archive, and with package lists of its own for a release and an
# architecture that this machine need not know.
armel_apt() {
	local apt=$work/apt-armel uri
	if [[ ! -d $apt ]]; then
		mkdir -p "$apt/lists/partial"
		# shellcheck disable=SC2016
		# ($(…) here is apt's own format language)
		uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'ORIGIN: Debian' \
			"CODENAME: $(. /etc/os-release && echo "$VERSION_CODENAME")" | sort -u)
		[[ -n $uri ]] || die 'apt knows no Debian archive: run apt-get update'
		echo "deb [arch=armel] ${uri%%$'\n'*} trixie main" >"$apt/sources.list"
	fi
	apt-get -q -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Architectures::=armel -o Acquire::Languages=none "$@"
}
