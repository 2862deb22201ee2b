#!/usr/bin/env bash
# cuda_report.sh [NVCC]: what the compiler makes of every kernel. Prints a table (registers, stack, spills, and how many
# 16-byte loads and stores its PTX has) for sm_80 and sm_90. Exit status 1 if a kernel uses local memory, or if one that
# is bound by memory bandwidth has no 16-byte loads or stores. Needs the CUDA toolkit, and no GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
nvcc=${1:-nvcc}
ptxas=$(dirname "$(command -v "$nvcc")")/ptxas
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Kernels that move whole rows or the flat parameter buffer; mangled names. (Rows of z in bfloat16 move in quads of 8
# bytes: four elements share a block of random words.)
streaming='adam_quads|normal_fill_quads|round_runs|gather_runsIf|reparameterize_rows.*ELb[01]EfE|reparameterize_grad_quadsIfE|likelihood_rows.*Lb1E|likelihood_pieces.*Lb1E|likelihood_mean_quads|categorical_pieces_of_rows|multinomial_rows|dense_activate|dense_derive|elbo_loss_data'

# report SOURCE: the lines of its kernels.
report() {
  local source=$1 failed=0 unit ptx arch
  unit=$work/$(basename "$source" .cu)
  ptx=$unit.ptx
  "$nvcc" -ptx -arch=compute_80 -O3 -std=c++20 --fmad=false -DFMT_USE_CONSTEXPR=1 -Xcompiler=-Wno-unknown-pragmas -I. \
    "$source" -o "$ptx"
  for arch in sm_80 sm_90; do
    "$ptxas" -v -arch=$arch "$ptx" -o /dev/null 2>"$unit.$arch.log"
    awk -v arch=$arch -v streaming="$streaming" '
      FNR == NR && /^\.visible \.entry/ { name = $3; sub(/\(.*/, "", name) }
      FNR == NR && /ld\.global[^ \t]*\.v4\.(f32|u32|b32)/ { loads[name]++ }
      FNR == NR && /st\.global[^ \t]*\.v4\.(f32|u32|b32)/ { stores[name]++ }
      FNR == NR { next }
      /Compiling entry function/ { split($0, part, "\047"); name = part[2] }
      /stack frame/ { stack = $1; spilled = $5 + $9 }
      /Used [0-9]+ registers/ {
        match($0, /Used [0-9]+/)
        registers = substr($0, RSTART + 5, RLENGTH - 5)
        wrong = ""
        if (stack + spilled > 0) wrong = wrong " LOCAL-MEMORY"
        if (name ~ streaming && name !~ /normal_fill/ && !loads[name]) wrong = wrong " NO-16-BYTE-LOADS"
        if (name ~ streaming && name !~ /Lb0ELi|mean_of/ && !stores[name]) wrong = wrong " NO-16-BYTE-STORES"
        printf "%s %4d registers %3d stack %3d spilled %3d v4 loads %3d v4 stores  %s%s\n", arch, registers, stack,
               spilled, loads[name], stores[name], name, wrong
        bad += wrong != ""
        kernels++
      }
      END { exit bad > 0 || kernels == 0 }' "$ptx" "$unit.$arch.log" || failed=1
  done
  return $failed
}
export -f report
export nvcc ptxas work streaming

failed=0
printf '%s\n' kernels/*/*_cuda.cu |
  xargs -P "$(nproc)" -I{} bash -c 'report "$1" >"$work/$(basename "$1").table"' report {} || failed=1
cat "$work"/*.table
exit $failed
