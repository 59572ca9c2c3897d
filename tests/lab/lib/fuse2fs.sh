# fuse2fs: a program that serves an ext2 by FUSE, with the libraries of its own source package and libfuse in it.
# shellcheck shell=bash disable=SC2154
# (set by common.sh and targets.sh)

# build_fuse2fs: prints a directory with `fuse2fs` for the armel boxes.
build_fuse2fs() {
	local e2fsprogs libfuse
	e2fsprogs=$(debian_version fuse2fs)
	libfuse=$(debian_version libfuse2)
	target armel
	once fuse2fs-armel "$(key "$e2fsprogs" "$libfuse" "$lab/lib/fuse2fs.sh")" make_fuse2fs
}

make_fuse2fs() {
	local out=$PWD
	upstream fuse
	upstream e2fsprogs
	mkdir "$work/libfuse" "$work/ext2"
	cd "$work/libfuse" || return
	"$work/fuse/configure" --host="$triplet" --disable-shared --enable-static --disable-util --disable-example CFLAGS=-Os
	nice make -j"$jobs"
	ln -s "$work/fuse/include" fuse
	cd "$work/ext2" || return
	"$work/e2fsprogs/configure" --host="$triplet" --disable-nls --disable-debugfs --disable-imager --disable-resizer \
		--disable-defrag --disable-uuidd --without-libarchive --enable-fuse2fs \
		CFLAGS=-Os CPPFLAGS="-I$work/libfuse -I$work/fuse/include" LDFLAGS="-static -L$work/libfuse/lib/.libs -pthread" LIBS=-ldl
	nice make -j"$jobs" libs
	nice make -j"$jobs" -C misc fuse2fs
	"$triplet-strip" -o "$out/fuse2fs" misc/fuse2fs
}
