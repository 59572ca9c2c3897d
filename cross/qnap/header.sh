#!/bin/sh
# The first lines of a QPKG. Behind them stand a tar with the control files, and a packed tar with the data. Each begins
# and ends with a block of 512 bytes: dd is in the oldest of these boxes, head -c is not.
script_len=@LENGTH@
first_len=@FIRST@
data_len=@DATA@
package=$0
part() { dd if="$package" bs=512 skip=$(($1 / 512)) count=$(($2 / 512)) 2>/dev/null; }
place=/mnt/HDA_ROOT/update_pkg
[ -d "$place" ] || place=/tmp
dir=$place/flasher.$$
(umask 077 && mkdir "$dir") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
part "$script_len" "$first_len" | tar -xf - -C "$dir" &&
    tar -xzf "$dir/control.tar.gz" -C "$dir" &&
    part $((script_len + first_len)) "$data_len" >"$dir/data.tar.gz" &&
    (cd "$dir" && sh ./qinstall.sh)
code=$?
if [ "$code" -ne 0 ]; then
    echo "flasher could not be installed" >&2
    exit "$code"
fi
# As packages of QDK end, which QNAP's firmware does not keep then (qbuild of qnap-dev/QDK); 0 would keep it.
exit 10
