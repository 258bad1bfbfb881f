#!/bin/sh
# Makes this machine a real server for DR (or tunnel) mode, and undoes it.
#
#   realserver.sh start  VIP [VIP...]   put each VIP on lo as /32, keep it out of ARP
#   realserver.sh stop   [VIP...]       take back what `start` did (all of it without a VIP)
#   realserver.sh status                show it; exit code 0 when started, 3 when not
#
# What `start` changed is written down in /run/standfast-realserver (or in $STATE_DIR), so `stop` undoes just that: an address
# that was there before stays, a sysctl that somebody else changed meanwhile stays. Both may be repeated.
# IPv4 only: IPv6 has no arp_ignore.

set -eu

state=${STATE_DIR:-/run/standfast-realserver}
sysctls=/proc/sys/net/ipv4/conf/all
PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "realserver.sh: $*" >&2
    exit 1
}

usage() {
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

check_address() {
    case $1 in
        *:*) fail "$1 is IPv6; only IPv4 addresses are handled" ;;
        *[!0-9.]* | '' | *..* | .* | *.) fail "$1 is not an IPv4 address" ;;
        *.*.*.*) ;;
        *) fail "$1 is not an IPv4 address" ;;
    esac
}

on_lo() {
    ip -4 -o addr show dev lo | grep -qF " $1/32 "
}

# set_sysctl NAME VALUE: the value takes the larger of `all` and the interface's own, so `all` is enough
set_sysctl() {
    old=$(cat "$sysctls/$1")
    [ "$old" -ge "$2" ] && return
    echo "$2" > "$sysctls/$1"
    echo "$old $2" > "$state/$1"
}

restore_sysctl() {
    [ -f "$state/$1" ] || return 0
    read -r old ours < "$state/$1"
    if [ "$(cat "$sysctls/$1")" = "$ours" ]; then
        echo "$old" > "$sysctls/$1"
    else
        echo "realserver.sh: $1 was changed by somebody else, left as it is" >&2
    fi
    rm -f "$state/$1"
}

start() {
    [ $# -gt 0 ] || usage
    for vip; do check_address "$vip"; done
    mkdir -p "$state/vip" || fail "cannot write to $state (are you root?)"
    # ARP first: the address must never be announced, not even for a moment.
    set_sysctl arp_ignore 1
    set_sysctl arp_announce 2
    for vip; do
        on_lo "$vip" && continue
        ip addr add "$vip/32" dev lo
        : > "$state/vip/$vip"
    done
}

stop() {
    [ -d "$state" ] || return 0
    [ $# -gt 0 ] || set -- $(ls "$state/vip")
    for vip; do
        check_address "$vip"
        [ -f "$state/vip/$vip" ] || continue
        on_lo "$vip" && ip addr del "$vip/32" dev lo
        rm -f "$state/vip/$vip"
    done
    [ -z "$(ls "$state/vip")" ] || return 0
    restore_sysctl arp_ignore
    restore_sysctl arp_announce
    rmdir "$state/vip" "$state"
}

status() {
    echo "arp_ignore=$(cat "$sysctls/arp_ignore") arp_announce=$(cat "$sysctls/arp_announce")"
    if [ ! -d "$state" ]; then
        echo "not started"
        exit 3
    fi
    for vip in $(ls "$state/vip"); do
        if on_lo "$vip"; then echo "$vip on lo"; else echo "$vip is missing from lo"; fi
    done
}

command -v ip > /dev/null || fail "the program \`ip\` is missing (Debian: apt-get install iproute2)"
[ $# -gt 0 ] || usage
verb=$1
shift
case $verb in
    start) start "$@" ;;
    stop) stop "$@" ;;
    status) status ;;
    *) usage ;;
esac
