#!/bin/sh
# Runs where the QPKG unpacked itself: puts flasher onto the default volume, and tells QNAP's firmware of it.
# For a trial elsewhere FLASHER_ROOT is before every path, and FLASHER_EMULATOR starts programs of the box.
set -e
root=${FLASHER_ROOT-}
# shellcheck source=/dev/null
. ./qpkg.cfg
volume=$(/sbin/getcfg SHARE_DEF defVolMP -f "$root/etc/config/def_share.info" 2>/dev/null) || volume=
for candidate in "$volume" /share/MD0_DATA /share/HDA_DATA /share/CACHEDEV1_DATA; do
    # The directory alone is in RAM, and gone at the next start.
    [ -n "$candidate" ] && grep -q " $candidate " "$root/proc/mounts" && break
    candidate=
done
if [ -z "$candidate" ]; then
    echo "there is no volume to install flasher on" >&2
    exit 1
fi
to=$candidate/.qpkg/$QPKG_NAME
new=$root$candidate/.qpkg/.$QPKG_NAME.new
# What is installed stays as it is until all of the new one is there and runs.
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
rm -rf "$new"
mkdir -p "$new"
tar -xzf data.tar.gz -C "$new"
if ! ${FLASHER_EMULATOR-} "$new/flasher" --version >/dev/null; then
    echo "this flasher does not run on the processor of this box ($(uname -m))" >&2
    exit 1
fi
cat >"$new/.uninstall.sh" <<END
#!/bin/sh
# Called by QNAP's firmware when the package is removed.
"\${FLASHER_ROOT-}$to/$QPKG_SERVICE_PROGRAM" stop
rm -rf "\${FLASHER_ROOT-}$to"
END
chmod 755 "$new/.uninstall.sh"
sync
rm -rf "${root:?}$to"
mv "$new" "$root$to"
enabled=TRUE
if [ -x /sbin/setcfg ]; then
    list=$root/etc/config/qpkg.conf
    # Whoever has switched it off finds it so after an upgrade.
    enabled=$(/sbin/getcfg "$QPKG_NAME" Enable -d TRUE -f "$list") || enabled=TRUE
    set_field() { /sbin/setcfg "$QPKG_NAME" "$1" "$2" -f "$list"; }
    set_field Name "$QPKG_NAME"
    set_field Version "$QPKG_VER"
    set_field Author "$QPKG_AUTHOR"
    set_field Enable "$enabled"
    set_field QPKG_File "$QPKG_NAME.qpkg"
    set_field Shell "$to/$QPKG_SERVICE_PROGRAM"
    set_field Install_Path "$to"
    set_field Date "$(date +%Y-%m-%d)"
fi
[ "$enabled" = FALSE ] || sh "$root$to/$QPKG_SERVICE_PROGRAM" start
