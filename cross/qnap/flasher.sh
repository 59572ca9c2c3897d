#!/bin/sh
# QNAP's firmware calls this at each start, for its /usr/bin is made anew then.
case $1 in
    start | restart) ln -sf "$(cd "$(dirname "$0")" && pwd)/flasher" "${FLASHER_ROOT-}/usr/bin/flasher" ;;
    stop) rm -f "${FLASHER_ROOT-}/usr/bin/flasher" ;;
    *) echo "usage: $0 start|stop|restart" >&2; exit 64 ;;
esac
