#!/usr/bin/env bash
# A long training of a tiny model: its memory and its open files must not grow.
#   scripts/soak.sh [EPOCHS] [PROGRAM]     10000 epochs; build/felbo
# Saves every 10 epochs, keeps three checkpoints and estimates log p(x) every 100, so that all that a run does is done often.
# Samples /proc of the process at the start, a tenth, half and the end. Exit status 1 if, from the tenth to the end, resident
# memory grew by more than 1 MiB (a leak of 120 bytes an epoch) or there are more open files or threads.
set -euo pipefail
cd "$(dirname "$0")/.."
epochs=${1:-10000}
felbo=${2:-build/felbo}
[[ $epochs =~ ^[1-9][0-9]{2,}$ ]] || { echo "usage: scripts/soak.sh [EPOCHS >= 100] [PROGRAM]" >&2; exit 2; }

folder=$(mktemp -d)
process=
trap '[ -z "$process" ] || kill "$process" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 - "$folder/data.npy" <<'PYTHON'
import random, struct, sys
random.seed(1)
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (80, 8), }"
header += " " * (-(len(header) + 11) % 64) + "\n"
with open(sys.argv[1], "wb") as out:
    out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    out.write(struct.pack("<640f", *(random.gauss(0, 1) for _ in range(640))))
PYTHON

run=$folder/run
"$felbo" train --data "$folder/data.npy" --likelihood gaussian --hidden 8 --latent 2 --batch 32 --epochs "$epochs" \
  --save-every 10 --keep 3 --track-gap 100 --out "$run" >"$folder/out" 2>"$folder/err" &
process=$!

printf '%10s %10s %8s %8s\n' epoch rss_KiB files threads
sample=
take() { # epoch, resident memory, open files and threads, where the process still runs
  local rss threads files epoch
  [ -f "$run/metrics.jsonl" ] || return 0
  rss=$(awk '/^VmRSS/ {print $2}' "/proc/$process/status" 2>/dev/null) || return 0
  threads=$(awk '/^Threads/ {print $2}' "/proc/$process/status" 2>/dev/null) || return 0
  files=$(for _ in 1 2 3 4 5; do ls "/proc/$process/fd" 2>/dev/null | wc -l; done | sort -n | head -1) # not one being written
  epoch=$(wc -l 2>/dev/null <"$run/metrics.jsonl") || return 0
  [ -z "$rss" ] || [ -z "$threads" ] || [ "$files" -eq 0 ] || sample="$epoch $rss $files $threads"
}
show() { printf '%10s %10s %8s %8s\n' $sample; }

marks=("$((epochs / 100))" "$((epochs / 10))" "$((epochs / 2))")
tenth=
while kill -0 "$process" 2>/dev/null; do
  take
  if [ "${#marks[@]}" -gt 0 ] && [ -n "$sample" ] && [ "${sample%% *}" -ge "${marks[0]}" ]; then
    show
    [ "${marks[0]}" -ne $((epochs / 10)) ] || tenth=$sample
    marks=("${marks[@]:1}")
  fi
  sleep 0.05
done
status=0
wait "$process" || status=$?
process=
[ $status -eq 0 ] || { echo "soak: the training ended with status $status:" >&2; cat "$folder/err" >&2; exit 1; }
show
[ "$(wc -l <"$run/metrics.jsonl")" -eq "$epochs" ] || { echo "soak: not every epoch has its line" >&2; exit 1; }
[ -n "$tenth" ] || { echo "soak: too short to be sampled; take more epochs" >&2; exit 1; }

read -r _ rss0 files0 threads0 <<<"$tenth"
read -r last rss1 files1 threads1 <<<"$sample"
echo "from a tenth to epoch $last of $epochs: $((rss1 - rss0)) KiB, $((files1 - files0)) files, $((threads1 - threads0)) threads"
if [ $((rss1 - rss0)) -gt 1024 ] || [ "$files1" -gt "$files0" ] || [ "$threads1" -gt "$threads0" ]; then
  echo "soak: it grows" >&2
  exit 1
fi
