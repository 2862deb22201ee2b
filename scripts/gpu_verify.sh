#!/usr/bin/env bash
# gpu_verify.sh BUILD_DIR [OUT_DIR]: all that only a GPU can show. Runs the tests of every kernel on device 0 (a test that
# does not run there is an error), compute-sanitizer's memcheck and racecheck over them where the tool is installed,
# `felbo check`, the benchmarks, and with FELBO_DATA_DIR set MNIST on both devices. Each step's whole output goes to OUT_DIR
# (default BUILD_DIR/gpu-verify); the summary is printed last. Exit status 1 if any step failed.
set -uo pipefail
build=$(cd "${1:?gpu_verify.sh BUILD_DIR [OUT_DIR]}" && pwd)
out=${2:-$build/gpu-verify}
mkdir -p "$out"
export FELBO_REQUIRE_GPU=1 GOMP_SPINCOUNT=2000
summary=()
failed=0

# step NAME command...: runs it, its output in OUT_DIR/NAME.log
step() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$out/$name.log" 2>&1; then
    summary+=("ok      $name ($((SECONDS - start)) s)")
  else
    summary+=("FAILED  $name (exit status $?, $((SECONDS - start)) s): $(grep -m1 -E 'FAILED|ERROR|error|felbo:' "$out/$name.log")")
    failed=1
  fi
}

tests=("$build"/tests/test_cuda_*)
if [ ! -x "${tests[0]}" ]; then
  echo "gpu_verify.sh: $build holds no tests for a GPU; configure with -DFELBO_CUDA=ON -DFELBO_BUILD_EMULATED=ON" >&2
  exit 1
fi
step device nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem --format=csv
step info "$build/felbo" info
for test in "${tests[@]}"; do step "$(basename "$test")" "$test"; done
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    for test in "${tests[@]}"; do
      step "$tool-$(basename "$test")" compute-sanitizer --tool $tool --error-exitcode 1 "$test"
    done
  done
else
  summary+=("-       memcheck, racecheck: compute-sanitizer is not installed")
fi
step check "$build/felbo" check --device cuda
step bench "$build/felbo" bench --device cuda
step bench-json "$build/felbo" bench --device cuda --json
if [ -n "${FELBO_DATA_DIR:-}" ]; then
  for device in cuda cpu; do
    step "mnist-$device" "$build/felbo" train --data "$FELBO_DATA_DIR/mnist" --out "$out/mnist-$device" --force \
      --likelihood bernoulli --binarize dynamic --hidden 500 --latent 20 --activation relu --batch 128 --lr 1e-3 \
      --epochs 20 --seed 0 --device $device --json
  done
  step mnist-streamed "$build/felbo" train --data "$FELBO_DATA_DIR/mnist" --out "$out/mnist-streamed" --force \
    --likelihood bernoulli --binarize dynamic --hidden 500 --latent 20 --activation relu --batch 128 --lr 1e-3 \
    --epochs 5 --seed 0 --device cuda --data-on host --json
else
  summary+=("-       MNIST: FELBO_DATA_DIR is not set")
fi
cat "$out/device.log"
printf '%s\n' "${summary[@]}" | tee "$out/summary.txt"
exit $failed
