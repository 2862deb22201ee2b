#!/usr/bin/env bash
# Trains on the two built-in data sets and shows what came out. Usage: scripts/demo.sh [PROGRAM] [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
felbo=${1:-build/felbo}
runs=${2:-runs}

echo "== 1. A model whose log p(x) is known exactly: x = W z + b + sigma e (builtin:linear-gaussian)"
"$felbo" train --data builtin:linear-gaussian --out "$runs/demo-linear-gaussian" --force \
  --likelihood gaussian --hidden none --latent 8 \
  --epochs 150 --lr 1e-2 --lr-schedule cosine --save-every 150
echo
echo "   With 100 samples of z a datum, the importance-weighted bound comes closer to log p(x):"
"$felbo" evaluate "$runs/demo-linear-gaussian" --samples 100
echo
echo "== 2. Digits drawn from strokes, 28x28 (builtin:glyphs)"
"$felbo" train --data builtin:glyphs --out "$runs/demo-glyphs" --force \
  --likelihood bernoulli --binarize dynamic --hidden 400 --latent 8 \
  --epochs 30 --lr 2e-3 --lr-schedule cosine --save-every 10
echo
echo "Pictures:"
echo "  $runs/demo-glyphs/samples.png          E[x|z] of 100 draws z ~ p(z)"
echo "  $runs/demo-glyphs/reconstructions.png  held-out data above their reconstructions"
