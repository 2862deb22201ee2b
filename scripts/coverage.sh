#!/usr/bin/env bash
# Which lines of kernels/ and host/ the tests ran, a row a folder, from what they left in a build with FELBO_COVERAGE=ON. Exit
# status 1 where one of the two has less than 95 %. Needs gcovr (Debian: gcovr).
#   scripts/coverage.sh [BUILD_DIR]             build-asan, as CI makes it:
#     cmake --preset cpu-asan -DFELBO_COVERAGE=ON && cmake --build --preset cpu-asan
#     find build-asan -name '*.gcda' -delete; FELBO_SKIP_LONG=1 ctest --preset cpu-asan
#   MISSING=1 scripts/coverage.sh [BUILD_DIR]   also the lines that did not run
# A line of a template counts once, in whatever test it ran. Not counted: tests, references and benches; what only a GPU or
# the emulator runs (*.cu, *.cuh, */cuda/, host/exec/cu*), which every schedule of the emulator walks.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-asan}
command -v gcovr >/dev/null || { echo "scripts/coverage.sh: gcovr is missing (Debian: gcovr)" >&2; exit 1; }
[ -n "$(find "$build" -name '*.gcda' -print -quit 2>/dev/null)" ] ||
  { echo "scripts/coverage.sh: no test has left counts in $build (FELBO_COVERAGE=ON, then ctest)" >&2; exit 2; }

summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
gcovr --root . --filter 'kernels/' --filter 'host/' --exclude-unreachable-branches --exclude '.*_(test|bench|reference)\.' \
  --exclude '.*(test_files|test_reader)\.h' --exclude '.*\.cuh?$' --exclude '.*/cuda/' --exclude 'host/exec/cu' \
  -j "$(nproc)" --json "$summary" "$build" >/dev/null

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
