#!/bin/sh
# Installs Schemathesis, which compares the APIs with their descriptions (tests/system/described.rs), where the tests
# look for it (tests/src/python.rs): whole, or not at all. Pinned, each wheel checked by its hash. Where it cannot be had,
# that test says so and is skipped; all else is tested.
set -eu

pins="$(dirname "$0")/schemathesis.txt"
version="$(sed -n 's/^schemathesis==\([^ ]*\).*/\1/p' "$pins")"
folder="${XDG_CACHE_HOME:-$HOME/.cache}/amends/schemathesis-$version"
[ ! -d "$folder" ] || exit 0

echo "Installing Schemathesis $version for the tests" >&2
mkdir -p "$(dirname "$folder")"
if ! PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-input --disable-pip-version-check --no-deps \
    --only-binary=:all: --require-hashes --requirement "$pins" --target "$folder.$$"; then
    rm -rf "$folder.$$"
    echo "Schemathesis cannot be installed here (above is why): the APIs are not compared with their descriptions." >&2
    exit 0
fi
# Another run may have been faster.
mv -T "$folder.$$" "$folder" 2>/dev/null || rm -rf "$folder.$$"
