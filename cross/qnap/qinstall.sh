#!/bin/sh
# Runs where the QPKG unpacked itself: puts flasher onto the default volume, and tells QNAP's firmware of it.
# FLASHER_ROOT is before every path, for a trial elsewhere.
set -e
root=${FLASHER_ROOT-}
# shellcheck source=/dev/null
. ./qpkg.cfg
volume=$(/sbin/getcfg SHARE_DEF defVolMP -f "$root/etc/config/def_share.info" 2>/dev/null) || volume=
for candidate in "$volume" /share/MD0_DATA /share/HDA_DATA /share/CACHEDEV1_DATA; do
    [ -n "$candidate" ] && [ -d "$root$candidate" ] && break
    candidate=
done
if [ -z "$candidate" ]; then
    echo "there is no volume to install flasher on" >&2
    exit 1
fi
to=$candidate/.qpkg/$QPKG_NAME
mkdir -p "$root$to"
tar -xzf data.tar.gz -C "$root$to"
if [ -x /sbin/setcfg ]; then
    list=$root/etc/config/qpkg.conf
    set_field() { /sbin/setcfg "$QPKG_NAME" "$1" "$2" -f "$list"; }
    set_field Name "$QPKG_NAME"
    set_field Version "$QPKG_VER"
    set_field Author "$QPKG_AUTHOR"
    set_field Enable TRUE
    set_field QPKG_File "$QPKG_NAME.qpkg"
    set_field Shell "$to/$QPKG_SERVICE_PROGRAM"
    set_field Install_Path "$to"
    set_field Date "$(date +%Y-%m-%d)"
fi
sh "$root$to/$QPKG_SERVICE_PROGRAM" start
