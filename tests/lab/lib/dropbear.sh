# dropbear: the ssh server of small boxes, with its own scp for the far end of `scp -O`.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# build_dropbear KIND: prints a directory with `root/`, dropbear and its links.
build_dropbear() {
	local version
	version=$(debian_version dropbear-bin)
	target "$1"
	once "dropbear-$1" "$(key "$version" "$lab/lib/dropbear.sh")" make_dropbear
}

make_dropbear() {
	local out=$PWD
	upstream dropbear
	mkdir build
	cd build || return
	# The cross C library comes without crypt(), and the lab logs in with keys only.
	echo '#define DROPBEAR_SVR_PASSWORD_AUTH 0' >localoptions.h
	"$work/dropbear/configure" --host="$triplet" --enable-static --disable-zlib --disable-syslog --disable-lastlog \
		--disable-utmp --disable-utmpx --disable-wtmp --disable-wtmpx \
		CFLAGS='-Os -ffunction-sections -fdata-sections' LDFLAGS=-Wl,--gc-sections
	nice make -j"$jobs" PROGRAMS='dropbear dropbearkey scp' MULTI=1
	"$triplet-strip" dropbearmulti
	cd "$out" || return
	mkdir -p "$out/root/usr/bin" "$out/root/usr/sbin"
	mv build/dropbearmulti "$out/root/usr/bin/"
	ln -s dropbearmulti "$out/root/usr/bin/scp"
	ln -s dropbearmulti "$out/root/usr/bin/dropbearkey"
	ln -s ../bin/dropbearmulti "$out/root/usr/sbin/dropbear"
	rm -rf build
}
