#!/usr/bin/env bash
# Which lines of kernels/ and host/ the tests run, a row a folder. Exit status 1 where a test fails, or one of the two has
# less than 95 %. Needs gcovr (Debian: gcovr), and a build with FELBO_COVERAGE=ON:
#   cmake --preset cpu-asan -DFELBO_COVERAGE=ON && cmake --build --preset cpu-asan
#   scripts/coverage.sh --test [BUILD_DIR]      runs the tests of build-asan anew, but for the long ones, then the table
#   scripts/coverage.sh [BUILD_DIR]             the table of what they left
#   MISSING=1 scripts/coverage.sh [BUILD_DIR]   also the lines that did not run
# A line of a template counts once, in whatever test it ran. Not counted: tests, references and benches; what only a GPU or
# the emulator runs (*.cu, *.cuh, */cuda/, host/exec/cu*), which every schedule of the emulator walks.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=
[ "${1:-}" != --test ] || { tests=yes; shift; }
build=$(realpath "${1:-build-asan}")
counts=$build/coverage
command -v gcovr >/dev/null || { echo "scripts/coverage.sh: gcovr is missing (Debian: gcovr)" >&2; exit 1; }

if [ -n "$tests" ]; then
  rm -rf "$counts"
  # Strips the /dev/null of the flags (cmake/FelboTargets.cmake). One thread each: two that count the same lines wait for each
  # other at every one.
  OMP_THREAD_LIMIT=1 GCOV_PREFIX=$counts GCOV_PREFIX_STRIP=2 FELBO_SKIP_LONG=1 ctest --test-dir "$build" -j "$(nproc)" --output-on-failure
fi
[ -n "$(find "$counts" -name '*.gcda' -print -quit 2>/dev/null)" ] ||
  { echo "scripts/coverage.sh: no test has left counts in $counts (FELBO_COVERAGE=ON, then --test)" >&2; exit 2; }

# gcov wants an object's graph (.gcno) beside its counts, whose names have the whole path, with # for /, of the folder where
# ccache saw the object first.
shopt -s nullglob
find "$build" -path "$counts" -prune -o -name '*.gcno' -print | while read -r graph; do
  name=${graph#"$build"/}
  name=${name#*CMakeFiles/}
  name=${name//\//#}
  made=("$counts"/*"#CMakeFiles#${name%.gcno}.gcda" "$counts/$name")
  ln -sf "$graph" "${made[0]%.gc*}.gcno"
done

summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
gcovr --root . --filter 'kernels/' --filter 'host/' --exclude-unreachable-branches --exclude '.*_(test|bench|reference)\.' \
  --exclude '.*(test_files|test_reader|test_problem)\.h' --exclude '.*\.cuh?$' --exclude '.*/cuda/' --exclude 'host/exec/cu' \
  -j "$(nproc)" --json "$summary" --object-directory "$build" "$counts" >/dev/null

MISSING=${MISSING:-} python3 - "$summary" <<'PYTHON'
import collections, json, os, sys

LEAST = 95.0
folders = collections.defaultdict(lambda: [0, 0])  # lines, lines that ran
for file in json.load(open(sys.argv[1]))["files"]:
    lines = {}
    for line in file["lines"]:
        if not line.get("gcovr/noncode"):
            lines[line["line_number"]] = lines.get(line["line_number"], False) or line["count"] > 0
    parts = file["file"].split("/")
    for folder in ("/".join(parts[:2]), parts[0]):
        folders[folder][0] += len(lines)
        folders[folder][1] += sum(lines.values())
    missing = sorted(number for number, ran in lines.items() if not ran)
    if missing and os.environ["MISSING"]:
        print(f"{file['file']}: {len(missing)} of {len(lines)}: {' '.join(map(str, missing))}")
print(f"{'folder':<32}{'lines':>8}{'run':>8}{'%':>8}")
failed = []
for folder, (count, ran) in sorted(folders.items()):
    share = 100 * ran / max(count, 1)
    print(f"{folder:<32}{count:>8}{ran:>8}{share:>8.1f}")
    if "/" not in folder and share < LEAST:
        failed.append(f"{folder}/ has {share:.1f} % of its lines run, {LEAST:g} are wanted")
for name in {"kernels", "host"} - set(folders):
    failed.append(f"{name}/ has no counts at all")
sys.exit("\n".join(failed) if failed else 0)
PYTHON
