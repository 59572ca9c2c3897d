#!/bin/sh
# Started by the update page of a DiskStation, from the directory into which it unpacked the .pat: puts flasher into
# /usr/local/bin, which is on the disks. No firmware is touched.
# FLASHER_ROOT is before every path, for a trial elsewhere.
root=${FLASHER_ROOT-}
to=/usr/local/bin
here=$(cd "$(dirname "$0")" && pwd)

# tell TEXT: the page shows it, and a negative number ends the page without a restart.
tell() {
    echo "extramsg=\"$1\"" >"$root/tmp/update.message.new"
    mv "$root/tmp/update.message.new" "$root/tmp/update.message"
    echo "C:-1:" >"$root/tmp/update.progress.new"
    mv "$root/tmp/update.progress.new" "$root/tmp/update.progress"
}

if mkdir -p "$root$to" && cp "$here/flasher" "$root$to/.flasher.new" && chmod 755 "$root$to/.flasher.new" &&
    mv "$root$to/.flasher.new" "$root$to/flasher"; then
    tell "flasher: installed as $to/flasher; the firmware was not changed, and the box is not restarted"
else
    rm -f "$root$to/.flasher.new"
    tell "flasher: $to could not be written; nothing was installed"
    exit 1
fi
