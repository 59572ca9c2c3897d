#!/bin/sh
# Started by the update page of a DiskStation, from the directory into which it unpacked the .pat: puts flasher into
# /usr/local/bin, which is on the disks. No firmware is touched.
# FLASHER_ROOT is before every path, for a trial elsewhere.
root=${FLASHER_ROOT-}
to=/usr/local/bin
here=$(cd "$(dirname "$0")" && pwd)

# tell TEXT: the page shows it, and a negative number ends the page without a restart. Written in a directory of root's own:
# a file in /tmp could be somebody's link.
tell() {
    new=$root/tmp/flasher.$$
    mkdir -m 700 "$new" || exit 1
    echo "extramsg=\"$1\"" >"$new/message"
    echo "C:-1:" >"$new/progress"
    mv -f "$new/message" "$root/tmp/update.message"
    mv -f "$new/progress" "$root/tmp/update.progress"
    rmdir "$new"
}

if mkdir -p "$root$to" && cp "$here/flasher" "$root$to/.flasher.new" && chmod 755 "$root$to/.flasher.new" &&
    mv "$root$to/.flasher.new" "$root$to/flasher"; then
    tell "flasher: installed as $to/flasher; the firmware was not changed, and the box is not restarted"
else
    rm -f "$root$to/.flasher.new"
    tell "flasher: $to could not be written; nothing was installed"
    exit 1
fi
