#!/usr/bin/env bash
# Trains the models of the table and prints their test figures beside the published ones. See README.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
felbo=$here/../../build/felbo
data="" out="" samples=5000 layers=1 quick=""
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --felbo) felbo=$2; shift 2 ;;
    --layers) layers=$2; shift 2 ;;
    --quick)
      data=builtin:glyphs samples=100
      quick=yes
      shift ;;
    *) break ;;
  esac
done
case $layers in
  1) rows="vae-k1:86.76 vae-k5:86.47 vae-k50:86.35 iwae-k5:85.54 iwae-k50:84.78" ;;
  2) rows="vae2-k1:85.33 vae2-k5:85.01 vae2-k50:84.78 iwae2-k5:83.89 iwae2-k50:82.90" ;;
  *) rows="" ;;
esac
if [ -z "$data" ] || [ -z "$out" ] || [ -z "$rows" ]; then
  echo "usage: $0 --data FOLDER --out RUNS [--layers 1|2] [--felbo PROGRAM] [flags of felbo train]" >&2
  echo "       $0 --quick --out RUNS [--layers 1|2] [--felbo PROGRAM] [flags of felbo train]" >&2
  exit 2
fi
small=()
if [ -n "$quick" ]; then
  small=(--hidden 32 --batch 100 --lr-schedule stages:1 --latent 8)
  if [ "$layers" = 2 ]; then small[7]=8,4; fi
fi
json() { python3 -c 'import json, sys; print("%.2f +- %.2f" % tuple(json.loads(sys.argv[1])[key] * sign
         for key, sign in (("log_px", -1), ("log_px_stderr", 1))))' "$1"; }
mkdir -p "$out"
printf '%-10s %-18s %s\n' model "-log p(x) bound" "published (MNIST)"
for row in $rows; do
  model=${row%%:*}
  "$felbo" train --config "$here/$model.toml" --data "$data" --out "$out/$model" "${small[@]}" "$@" >"$out/$model.log"
  result=$("$felbo" evaluate "$out/$model" --data "$data" --split test --samples "$samples" --json | tail -n 1)
  printf '%-10s %-18s %s\n' "$model" "$(json "$result")" "${row#*:}"
done
