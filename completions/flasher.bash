# bash completion for flasher. Made by `flasher manual bash`.

_flasher() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' wanted='' word i
    COMPREPLY=()
    # `--format=json` comes as three words.
    if [[ $prev == '=' ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $cur == '=' ]]; then
        cur=
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            -p|--part|--force|--backup|--env-config|--keep|--keep-to|--key|--sha256|--size|--fetch-config|--board|--sim|--format|--url|--id|--config|--artifact|--every|--jitter|--deadline|--from|--kernel|--initrd|--ssh|--binary|--wait|--updater|--mac|--ip|--address|--server|--name|--port|--tftp-port|--for) ((i++)) ;;
            -*) ;;
            '=') ((i++)) ;;
            *)
                [[ -z $verb ]] || continue
                case $word in
                    sim) verb=$word\ ${COMP_WORDS[i + 1]} ;;
                    recovery) verb=$word\ ${COMP_WORDS[i + 1]} ;;
                    *) verb=$word ;;
                esac
                ;;
        esac
    done
    case $prev in
        -p|--part) :; return ;;
        --force) _flasher_list 'aligned bad-blocks board bootloader bootloader-backup bootloader-checksum content cpu downgrade ecc environment fixed-offset holders image init keep metadata one-copy overlap partition ram record settings sha256 signature size slot unused watchdog writable'; return ;;
        --backup) _flasher_files d; return ;;
        --env-config) _flasher_files f; return ;;
        --keep) _flasher_files f; return ;;
        --keep-to) :; return ;;
        --key) _flasher_files f; return ;;
        --sha256) _flasher_files f; return ;;
        --size) :; return ;;
        --fetch-config) _flasher_files f; return ;;
        --board) COMPREPLY=($(compgen -W 'buffalo-linkstation cloudengines-pogoe02 dlink-dns320 dlink-dns323 generic glinet-gl-ar150 glinet-gl-ar300m16 iomega-iconnect linksys-ea4500 netgear-readynas-duo-v2 qnap-ts109 qnap-ts219 qnap-ts219-resized seagate-dockstar seagate-goflexnet synology-ds213j thincan tplink-archer-c7-v2 tplink-wdr3600 tplink-wdr4300 ubnt-xm zyxel-nsa310' -- "$cur")); _flasher_files f; return ;;
        --sim) _flasher_files d; return ;;
        --format) COMPREPLY=($(compgen -W 'text json' -- "$cur")); return ;;
        --url) :; return ;;
        --id) :; return ;;
        --config) _flasher_files f; return ;;
        --artifact) :; return ;;
        --every) :; return ;;
        --jitter) :; return ;;
        --deadline) :; return ;;
        --from) _flasher_files d; return ;;
        --kernel) _flasher_files f; return ;;
        --initrd) _flasher_files f; return ;;
        --ssh) :; return ;;
        --binary) _flasher_files f; return ;;
        --wait) :; return ;;
        --updater) _flasher_files f; return ;;
        --mac) :; return ;;
        --ip) :; return ;;
        --address|--server) :; return ;;
        --name) :; return ;;
        --port) :; return ;;
        --tftp-port) :; return ;;
        --for) COMPREPLY=($(compgen -W 'dhcpd dnsmasq tftpd-hpa' -- "$cur")); return ;;
    esac
    if [[ $cur == -* ]]; then
        case $verb in
            'apply') COMPREPLY=($(compgen -W '-n -T --dry-run --test -y --yes -p --part --as-is --unpack --force --backup --env-config --no-reboot --in-place --prepare --rescue-shell --rescue-network --listen --no-rollback --keep --no-keep --keep-to --mark-bad --key --sha256 --size --fetch-config --board --sim -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'plan') COMPREPLY=($(compgen -W '-n -T --dry-run --test -y --yes -p --part --as-is --unpack --force --backup --env-config --no-reboot --in-place --prepare --rescue-shell --rescue-network --listen --no-rollback --keep --no-keep --keep-to --mark-bad --key --sha256 --size --fetch-config --board --sim -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'inspect') COMPREPLY=($(compgen -W '--fetch-config -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'verify') COMPREPLY=($(compgen -W '-p --part --as-is --unpack --env-config --key --sha256 --size --fetch-config --board --sim -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'devices') COMPREPLY=($(compgen -W '--board --sim --profile -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'backup') COMPREPLY=($(compgen -W '-p --part --board --sim -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'restore') COMPREPLY=($(compgen -W '-n -T --dry-run --test -y --yes -p --part --force --backup --no-reboot --in-place --prepare --rescue-shell --rescue-network --listen --no-rollback --keep --no-keep --keep-to --mark-bad --key --board --sim -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'status') COMPREPLY=($(compgen -W '--board --sim -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'env') COMPREPLY=($(compgen -W '-n -T --dry-run --test --force --env-config --board --sim -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'sim create') COMPREPLY=($(compgen -W '-q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'help') COMPREPLY=($(compgen -W '-q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'poll') COMPREPLY=($(compgen -W '-p --part --as-is --unpack --force --env-config --in-place --rescue-shell --rescue-network --no-rollback --keep --no-keep --keep-to --mark-bad --key --fetch-config --board --sim --url --id --config --artifact --every --jitter --deadline -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'recovery create') COMPREPLY=($(compgen -W '--force --board --sim --from --kernel --initrd -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'recovery check') COMPREPLY=($(compgen -W '-q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'recovery boards') COMPREPLY=($(compgen -W '-q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'recovery name') COMPREPLY=($(compgen -W '--board --sim -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'push') COMPREPLY=($(compgen -W '-n -T --dry-run --test -y --yes -p --part --as-is --unpack --force --backup --env-config --no-reboot --in-place --prepare --rescue-shell --rescue-network --listen --no-rollback --keep --no-keep --keep-to --mark-bad --key --sha256 --size --fetch-config --board --sim --ssh --binary --wait --new-host-key --verify -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'pat') COMPREPLY=($(compgen -W '--board --updater -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'qpkg') COMPREPLY=($(compgen -W '-q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'demo') COMPREPLY=($(compgen -W '-q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'manual') COMPREPLY=($(compgen -W '-q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'recovery serve') COMPREPLY=($(compgen -W '--force --mac --ip --address --server --name --port --tftp-port --once -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            'recovery config') COMPREPLY=($(compgen -W '--force --mac --ip --address --server --name --for -q --quiet -v --verbose --format --help' -- "$cur")) ;;
            *) COMPREPLY=($(compgen -W '-q --quiet -v --verbose --format --version --help' -- "$cur")) ;;
        esac
        return
    fi
    case $verb in
        '') COMPREPLY=($(compgen -W 'apply plan inspect verify devices backup restore status env sim help poll recovery push pat qpkg demo manual' -- "$cur")) ;;
        'apply') _flasher_files f ;;
        'plan') _flasher_files f ;;
        'inspect') _flasher_files f ;;
        'verify') _flasher_files f ;;
        'backup') _flasher_files d ;;
        'restore') _flasher_files d ;;
        'env') if [[ $prev == env ]]; then COMPREPLY=($(compgen -W 'set' -- "$cur")); else :; fi ;;
        'sim create') COMPREPLY=($(compgen -W 'buffalo-linkstation cloudengines-pogoe02 dlink-dns320 dlink-dns323 generic glinet-gl-ar150 glinet-gl-ar300m16 iomega-iconnect linksys-ea4500 netgear-readynas-duo-v2 qnap-ts109 qnap-ts219 qnap-ts219-resized seagate-dockstar seagate-goflexnet synology-ds213j thincan tplink-archer-c7-v2 tplink-wdr3600 tplink-wdr4300 ubnt-xm zyxel-nsa310' -- "$cur")); _flasher_files f; _flasher_files d ;;
        'help') COMPREPLY=($(compgen -W 'apply plan inspect verify devices backup restore status env sim help poll recovery push pat qpkg demo manual' -- "$cur")) ;;
        'recovery create') _flasher_files f ;;
        'recovery check') _flasher_files f ;;
        'recovery name') _flasher_files f ;;
        'push') _flasher_files f ;;
        'pat') if [[ $prev == pat ]]; then COMPREPLY=($(compgen -W 'check create extract list' -- "$cur")); else _flasher_files f; fi ;;
        'qpkg') if [[ $prev == qpkg ]]; then COMPREPLY=($(compgen -W 'extract' -- "$cur")); else _flasher_files f; _flasher_files d; fi ;;
        'manual') COMPREPLY=($(compgen -W 'man bash fish zsh' -- "$cur")) ;;
        'recovery serve') _flasher_files f ;;
        'recovery config') _flasher_files f ;;
        'sim '*) COMPREPLY=($(compgen -W 'create' -- "$cur")) ;;
        'recovery '*) COMPREPLY=($(compgen -W 'create check boards name serve config' -- "$cur")) ;;
    esac
}

# Names of files, or of directories alone.
_flasher_files() {
    compopt -o filenames 2>/dev/null
    local IFS=$'\n'
    COMPREPLY+=($(compgen "-$1" -- "$cur"))
}

# The last word of a list with commas.
_flasher_list() {
    local before=
    [[ $cur != *,* ]] || before=${cur%,*},
    compopt -o nospace 2>/dev/null
    COMPREPLY=($(compgen -P "$before" -W "$1" -- "${cur##*,}"))
}

complete -F _flasher flasher
