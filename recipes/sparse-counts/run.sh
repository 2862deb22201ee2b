#!/usr/bin/env bash
# Trains on sparse counts from known models and prints the test bounds beside the best models without latents.
# See README.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
felbo=$here/../../build/felbo
python=python3
out="" samples=100 size=()
flags=(--hidden 128 --latent 10 --epochs 20 --batch 128 --lr 2e-3 --lr-schedule cosine)
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2; shift 2 ;;
    --felbo) felbo=$2; shift 2 ;;
    --python) python=$2; shift 2 ;;
    --quick)
      size=(--rows 2000 --columns 150) samples=20
      shift ;;
    *) break ;;
  esac
done
if [ -z "$out" ]; then
  echo "usage: $0 --out FOLDER [--quick] [--felbo PROGRAM] [--python PROGRAM] [flags of felbo train]" >&2
  exit 2
fi
# Runs a command, its output in a log; prints the most memory that it had, in MB.
memory_of() { "$python" -c 'import resource, subprocess, sys
subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "w"), check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)' "$@"; }
figure() { "$python" -c 'import json, sys; r = json.loads(sys.argv[1]); print("%.3f" % r[sys.argv[2]])' "$@"; }
mkdir -p "$out"
printf '%-8s %-18s %12s %12s %12s %10s\n' data likelihood "ELBO" "log p(x) >=" "no latents" "MB, train"
for row in "cells negative-binomial --variance per-dimension" "clicks multinomial"; do
  read -r data likelihood more <<<"$row"
  "$python" "$here/generate.py" "$data" "$out/$data" "${size[@]}" >"$out/$data.log"
  # shellcheck disable=SC2086
  memory=$(memory_of "$out/$data-train.log" "$felbo" train --data "$out/$data" --out "$out/$data-run" --force \
    --likelihood "$likelihood" $more "${flags[@]}" "$@")
  result=$("$felbo" evaluate "$out/$data-run" --samples "$samples" --json | tail -n 1)
  printf '%-8s %-18s %12s %12s %12.3f %10s\n' "$data" "$likelihood" "$(figure "$result" elbo)" \
    "$(figure "$result" log_px)" "$(cat "$out/$data/without-latents.txt")" "$memory"
done
