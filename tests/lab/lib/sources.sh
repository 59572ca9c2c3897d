# Source code, from the Debian archive this machine already uses.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# debian_version PACKAGE: the version of the source that the binary package of this name is built from.
debian_version() {
	local about source
	about=$(apt-cache show --no-all-versions "$1" 2>/dev/null) ||
		die "apt does not know $1: run apt-get update"
	# `Source: name (version)` is only there when it differs from the package's own.
	source=$(sed -n 's/^Source: .*(\(.*\))$/\1/p' <<<"$about")
	printf '%s\n' "${source:-$(sed -n 's/^Version: //p' <<<"$about")}"
}

# apt_with_sources COMMAND…: apt-get as this machine is set up, plus the source packages of the same archives.
# deb-src entries are rarely switched on, and switching them on takes root and changes the machine; so they are
# written down, with a package list of their own, in our work directory.
apt_with_sources() {
	local apt=$work/apt options
	options=(
		-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
		-o "Dir::State::lists=$apt/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
	)
	if [[ ! -d $apt ]]; then
		mkdir -p "$apt/lists/partial"
		# shellcheck disable=SC2016
# ($(…) here is apt's own format language)
		apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' \
			'Created-By: Packages' 'ORIGIN: Debian' | sort -u >"$apt/sources.list"
		[[ -s $apt/sources.list ]] || die 'apt knows no Debian archive: run apt-get update'
		apt-get -q "${options[@]}" update
	fi
	apt-get -q "${options[@]}" "$@"
}

# upstream PACKAGE: downloads the source package and unpacks upstream's part of it as $work/PACKAGE. Debian's patches are left
# out: boxes run what upstream released.
upstream() {
	[[ ! -d $work/$1 ]] || return 0
	mkdir "$work/$1" "$work/$1.download"
	(cd "$work/$1.download" && apt_with_sources source --download-only "$1")
	# Beside the archive lies its signature, `….asc`.
	tar -x -f "$(printf '%s\n' "$work/$1.download"/*.orig.tar.*[!c])" -C "$work/$1" --strip-components 1
}
