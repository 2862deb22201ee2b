#!/usr/bin/env bash
# Fuzzes what felbo reads from outside with libFuzzer, under AddressSanitizer and UndefinedBehaviorSanitizer, guided by
# coverage. Needs clang (Debian: clang libomp-dev).
#   scripts/fuzz.sh [SECONDS] [TARGET...]     10 seconds a target; idx gzip npy npz toml safetensors flags
# As many targets run at a time as there are cores. Inputs of at most 1 MB; a crash, an undefined operation, a leak, an input
# that takes more than a minute, or more than 1 GB of memory in all or at once: exit status 1, with the input's name.
# What reaches new code is kept in build-fuzz/corpus and read by the next call.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-10}
shift || true
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(idx gzip npy npz toml safetensors flags)
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/fuzz.sh [SECONDS] [TARGET...]" >&2; exit 2; }
for target in "${targets[@]}"; do
  [ -d "tests/fuzz/corpus/$target" ] || { echo "scripts/fuzz.sh: unknown target $target" >&2; exit 2; }
done
command -v clang++ >/dev/null || { echo "scripts/fuzz.sh: clang++ is missing (Debian: clang libomp-dev)" >&2; exit 1; }

out=build-fuzz
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz -j "$(nproc)"
mkdir -p $out/crashes $out/logs
# The largest share of AddressSanitizer's own memory is what was freed and is kept to find later use.
export ASAN_OPTIONS=quarantine_size_mb=32:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 out seconds

fuzz() {
  mkdir -p "$out/corpus/$1"
  "$out/fuzz_$1" -max_total_time="$seconds" -max_len=1000000 -timeout=60 -rss_limit_mb=1000 -malloc_limit_mb=1000 \
    -print_final_stats=1 -artifact_prefix="$out/crashes/$1-" "$out/corpus/$1" "tests/fuzz/corpus/$1" \
    >"$out/logs/$1" 2>&1 || echo "$1" >>"$out/logs/failed"
}
export -f fuzz
rm -f $out/logs/failed
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I {} bash -c 'fuzz {}'

stat() { sed -n "s/^stat::$2: *//p" "$out/logs/$1"; }
printf '%-12s %12s %10s %10s %10s %10s\n' target executions a_second edges inputs peak_MB
for target in "${targets[@]}"; do
  last=$(grep -E ' cov: [0-9]+ ft: ' "$out/logs/$target" | tail -1 || true)
  printf '%-12s %12s %10s %10s %10s %10s\n' "$target" "$(stat "$target" number_of_executed_units)" \
    "$(stat "$target" average_exec_per_sec)" "$(sed -E 's/.* cov: ([0-9]+) .*/\1/' <<<"$last")" \
    "$(sed -E 's/.* corp: ([0-9]+).*/\1/' <<<"$last")" "$(stat "$target" peak_rss_mb)"
done
[ ! -f $out/logs/failed ] || while read -r target; do
  echo
  echo "FAILED: $target"
  grep -E 'ERROR|SUMMARY|runtime error|what\(\)|Test unit written' "$out/logs/$target" | head -8
  status=1
done <$out/logs/failed
exit "${status:-0}"
