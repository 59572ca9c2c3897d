# Packages of Debian for any release and processor, whatever this machine is.
# shellcheck shell=bash disable=SC2154
# (set by common.sh)

# apt_of RELEASE ARCHITECTURE get|cache COMMAND…: apt-get or apt-cache with this machine's Debian archive, and with package lists of
# its own for a release and an architecture that this machine need not know. The first command is `get update`.
apt_of() {
	local release=$1 architecture=$2 program=apt-$3 apt=$work/apt-$1-$2 uri
	shift 3
	if [[ ! -d $apt ]]; then
		mkdir -p "$apt/lists/partial"
		# shellcheck disable=SC2016
		# ($(…) here is apt's own format language)
		uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'ORIGIN: Debian' \
			"CODENAME: $(. /etc/os-release && echo "$VERSION_CODENAME")" | sort -u)
		[[ -n $uri ]] || die 'apt knows no Debian archive: run apt-get update'
		echo "deb [arch=$architecture] ${uri%%$'\n'*} $release main" >"$apt/sources.list"
	fi
	"$program" -q -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o "APT::Architectures::=$architecture" -o Acquire::Languages=none "$@"
}
