#!/usr/bin/env bash
# Formats all C++ and CUDA sources; with --check only says what is not formatted, exit status 1. The version is fixed,
# as versions of clang-format disagree.
set -euo pipefail
cd "$(dirname "$0")/.."
version=14.0.6
tool=build/venv-format/bin/clang-format
if ! "$tool" --version 2>/dev/null | grep -q "$version"; then
  mkdir -p build
  python3 -m venv build/venv-format
  build/venv-format/bin/pip install --quiet --disable-pip-version-check "clang-format==$version"
fi
mode=(-i)
[ "${1:-}" = --check ] && mode=(--dry-run --Werror)
git ls-files -z --cached --others --exclude-standard '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -0 "$tool" "${mode[@]}"
