#!/usr/bin/env bash
# One small training under valgrind's memcheck, from the data to a picture: train, resume, evaluate, sample. Any error
# and any block that is definitely lost: exit status 1. Then the same for planted bugs, each of which must be seen.
# Needs valgrind (Debian: valgrind). Builds the preset valgrind, since memcheck 3.19 knows no AVX-512; oneDNN is told so too.
#   scripts/valgrind.sh
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "scripts/valgrind.sh: valgrind is missing (Debian: valgrind)" >&2; exit 1; }

out=build-valgrind
cmake --preset valgrind >/dev/null
cmake --build --preset valgrind -j "$(nproc)"
# Threads that wait would take the time of the one that works: valgrind runs one at a time. With these set, the program
# does not start itself once more either, which would leave valgrind (host/cli/main.cpp).
export DNNL_MAX_CPU_ISA=AVX2 OMP_WAIT_POLICY=passive GLIBC_TUNABLES=

# checked PROGRAM ARGUMENT...: runs it; what valgrind says goes to $out/log.
checked() {
  local program=$1
  shift
  valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
    --num-callers=20 --log-file=$out/log "$out/$program" "$@" >$out/printed 2>&1
}

# trained PROGRAM: an epoch in $out/run, 10 steps of 1999 rows and one smaller, on two threads, saved every 3 steps.
trained() {
  rm -rf $out/run
  checked "$1" train --data builtin:linear-gaussian --likelihood gaussian --hidden 16 --latent 3 --batch 1999 --epochs 1 \
    --save-steps 3 --threads 2 --out $out/run
}

step() { # WHAT PROGRAM ARGUMENT...
  local what=$1 status=0 begin=$SECONDS
  shift
  "$@" || status=$?
  if [ $status -ne 0 ]; then
    echo "FAILED (exit status $status): $what" >&2
    cat $out/log >&2
    tail -5 $out/printed >&2
    exit 1
  fi
  echo "$what: no error, nothing lost ($((SECONDS - begin)) s)"
}
step "train" trained valgrind_felbo
step "train --resume" checked valgrind_felbo train --resume $out/run --epochs 2
step "evaluate" checked valgrind_felbo evaluate $out/run --json
step "sample" checked valgrind_felbo sample $out/run --count 9 --out $out/samples.png

# seen PROGRAM WORDS: a planted bug must fail the training, and be called by its name.
seen() {
  local status=0
  trained "$1" || status=$?
  if [ $status -ne 99 ] || ! grep -q "$2" $out/log; then
    echo "FAILED: the planted bug of $1 was not seen (exit status $status)" >&2
    exit 1
  fi
  echo "planted: $1: $(grep -m1 "$2" $out/log | sed 's/^==[0-9]*== *//')"
}
seen valgrind_uninitialised "uninitialised"
seen valgrind_leak "definitely lost"
seen valgrind_outside "Invalid "
