#!/usr/bin/env bash
# clang-tidy (Debian: clang-tidy) with the list of .clang-tidy. Any finding is an error.
#   scripts/tidy.sh [FILE...]      the sources of host/data, exec, model, run and train without tests, or the files named
# Takes the flags from build/compile_commands.json (BUILD=FOLDER: from another build).
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
command -v clang-tidy >/dev/null || { echo "scripts/tidy.sh: clang-tidy is missing (Debian: clang-tidy)" >&2; exit 1; }
[ -f "$build/compile_commands.json" ] || { echo "scripts/tidy.sh: configure first: cmake --preset default" >&2; exit 1; }
files=("$@")
if [ ${#files[@]} -eq 0 ]; then
  mapfile -t files < <(git ls-files host/{data,exec,model,run,train}/'*.cpp' | grep -vE '_test\.cpp$|/cu[^/]*\.cpp$')
fi
# What g++ alone knows (-Wno-restrict) is no matter here.
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet \
  --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unused-command-line-argument
echo "clang-tidy: ${#files[@]} files without a finding"
