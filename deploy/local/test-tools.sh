#!/bin/sh
# Makes sure that the programs are there which the tests start but cargo cannot build: PostgreSQL,
# python3 with pip, curl. As root (or with sudo that asks nothing) it installs what is missing; else it says
# at once which line does. nats-server is not among them: `amends nats-server` gets that one.
set -eu

postgres_is_there() {
    for initdb in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$initdb" ] && return 0
    done
    command -v initdb >/dev/null && command -v postgres >/dev/null
}

missing=
postgres_is_there || missing="$missing postgresql"
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
command -v curl >/dev/null || missing="$missing curl"
[ -n "$missing" ] || exit 0

line="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null; then
    echo "The tests need$missing, and this machine has no apt-get: please install them as it does." >&2
    exit 1
elif [ "$(id -u)" = 0 ]; then
    root=
elif sudo -n true 2>/dev/null; then
    root="sudo -n"
else
    echo "The tests need$missing. Please run this once, then again what you ran:" >&2
    echo "    sudo $line" >&2
    exit 1
fi

echo "Installing$missing for the tests" >&2
export DEBIAN_FRONTEND=noninteractive
# $root, $line: split on purpose, neither holds a word of anybody else's.
$root apt-get update -qq && $root $line -qq >&2
