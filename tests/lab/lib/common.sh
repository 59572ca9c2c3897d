# What every part of the lab's build shares: where things are kept, and how a thing is built only once.
# Sourced by tests/lab/build.
# shellcheck shell=bash disable=SC2034
# (read by the other parts)

lab=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${FLASHER_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/flasher}/lab
jobs=$(nproc)
mkdir -p "$cache"
# A build that was killed could not tidy up; a kernel's tree is large.
find "$cache" -maxdepth 1 -name '.work.*' -mmin +600 -exec rm -rf {} +
# Sources are unpacked here, beside the cache, so that moving a finished thing into it is one rename.
work=$(mktemp -d "$cache/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# key THING…: a short name for exactly these things. A file stands for its content, a directory for all of
# its files, anything else for itself.
key() {
	local thing
	for thing in "$@"; do
		if [[ -d $thing ]]; then
			(cd "$thing" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
		elif [[ -f $thing ]]; then
			sha256sum <"$thing"
		else
			printf '%s\n' "$thing"
		fi
	done | sha256sum | cut -c 1-16
}

# once NAME KEY MAKE ARGUMENT…: prints the directory $cache/NAME-KEY. If it is not there, `MAKE ARGUMENT…` is run
# in an empty directory which then becomes it, so a build that was interrupted leaves nothing half done.
once() {
	local name=$1 key=$2 out log status start=$SECONDS
	shift 2
	out=$cache/$name-$key
	log=$cache/$name.log
	# What is there need not wait for somebody who builds another version of it.
	if [[ -d $out ]]; then
		printf '%s\n' "$out"
		return
	fi
	(
		# Two stories may need the same thing at the same time.
		flock 9
		if [[ ! -d $out ]]; then
			say "building $name (log: $log)"
			mkdir "$work/$name.out"
			# Not as a condition: bash ignores errexit in everything that a condition runs.
			set +e
			(set -e; cd "$work/$name.out"; "$@") >"$log" 2>&1
			status=$?
			set -e
			if [[ $status -ne 0 ]]; then
				tail -n 30 "$log" >&2
				die "$name could not be built; the whole log is $log"
			fi
			mv "$work/$name.out" "$out"
			say "built $name in $((SECONDS - start)) s"
		fi
	) 9>"$cache/.lock-$name"
	printf '%s\n' "$out"
}
