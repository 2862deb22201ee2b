#!/bin/sh
# Installs the build in $1 into a fresh folder and builds a user's project against it. Usage: check.sh BUILD SOURCE COMPILER
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
cmake -S "$2/tests/package" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$3" -DCMAKE_BUILD_TYPE=Release
cmake --build "$work/build"
"$work/build/user"
"$work/prefix/bin/felbo" --version
