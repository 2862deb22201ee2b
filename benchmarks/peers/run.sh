#!/usr/bin/env bash
# felbo's training step and its peers', in turn, round by round, and the table. See README.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
felbo=$here/../../build/felbo rounds=3 out="" device=cpu threads=0 precision=fp32
torch=python3 jax=python3
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2; shift 2 ;;
    --felbo) felbo=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --device) device=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    --precision) precision=$2; shift 2 ;;
    --torch-python) torch=$2; shift 2 ;;
    --jax-python) jax=$2; shift 2 ;;
    *) out=""; break ;;
  esac
done
if [ -z "$out" ]; then
  echo "usage: $0 --out FOLDER [--rounds N] [--device cpu|cuda] [--threads N] [--precision P]" >&2
  echo "       [--felbo PROGRAM] [--torch-python PYTHON] [--jax-python PYTHON]" >&2
  exit 2
fi
mkdir -p "$out"
has() { "$1" -c "import $2" 2>/dev/null; }
shared=(--device "$device" --threads "$threads" --precision "$precision")
files=()
for round in $(seq "$rounds"); do
  "$felbo" bench step "${shared[@]}" --json | tail -n 1 >"$out/felbo-$round.json"
  files+=("$out/felbo-$round.json")
  if has "$torch" torch; then
    "$torch" "$here/pytorch_step.py" "${shared[@]}" --out "$out/pytorch-eager-$round.json"
    files+=("$out/pytorch-eager-$round.json")
    if "$torch" -c 'import torch; torch.compile' 2>/dev/null; then
      for mode in default max-autotune; do
        "$torch" "$here/pytorch_step.py" "${shared[@]}" --compile "$mode" --out "$out/pytorch-$mode-$round.json"
        files+=("$out/pytorch-$mode-$round.json")
      done
    fi
  fi
  if has "$jax" jax; then
    "$jax" "$here/jax_step.py" "${shared[@]}" --out "$out/jax-$round.json"
    files+=("$out/jax-$round.json")
  fi
done
python3 "$here/../../scripts/compare.py" "${files[@]}"
