#!/bin/sh
# Makes sure that the programs are there which the tests start but cargo cannot build: PostgreSQL,
# python3 with pip, curl. As root (or with sudo that asks nothing) it installs what is missing; else it says
# at once which line does. nats-server is not among them: `amends nats-server` gets that one. faketime is
# installed where that is possible, and nothing fails without it: the nemesis says then that it sets no clock.
set -eu

postgres_is_there() {
    for initdb in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$initdb" ] && return 0
    done
    command -v initdb >/dev/null && command -v postgres >/dev/null
}

faketime_is_there() {
    for library in /usr/lib/*/faketime/libfaketime.so.1; do
        [ -e "$library" ] && return 0
    done
    return 1
}

missing=
postgres_is_there || missing="$missing postgresql"
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
command -v curl >/dev/null || missing="$missing curl"
wanted=
faketime_is_there || wanted=faketime
[ -n "$missing$wanted" ] || exit 0

install="apt-get install -y --no-install-recommends"
if ! command -v apt-get >/dev/null; then
    root=none
elif [ "$(id -u)" = 0 ]; then
    root=
elif sudo -n true 2>/dev/null; then
    root="sudo -n"
else
    root=none
fi

if [ "$root" = none ]; then
    [ -z "$wanted" ] || echo "Without $wanted the nemesis sets no clocks; all else is tested." >&2
    [ -n "$missing" ] || exit 0
    if command -v apt-get >/dev/null; then
        echo "The tests need$missing. Please run this once, then again what you ran:" >&2
        echo "    sudo $install$missing $wanted" >&2
    else
        echo "The tests need$missing, and this machine has no apt-get: please install them as it does." >&2
    fi
    exit 1
fi

echo "Installing$missing $wanted for the tests" >&2
export DEBIAN_FRONTEND=noninteractive
# $root, $install, $missing: split on purpose, none holds a word of anybody else's.
if ! $root apt-get update -qq; then
    [ -z "$missing" ] || exit 1
fi
[ -z "$missing" ] || $root $install $missing -qq >&2
[ -z "$wanted" ] || $root $install $wanted -qq >&2 ||
    echo "$wanted cannot be installed: the nemesis sets no clocks; all else is tested." >&2
