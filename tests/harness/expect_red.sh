#!/bin/sh
# Passes when the given GoogleTest program reports a failed test. A crash or a hang is no catch: the parity check
# itself has to go red. The first test that does is enough.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" --gtest_fail_fast >"$log" 2>&1
status=$?
if [ "$status" -eq 1 ] && grep -q '^\[  FAILED  \]' "$log"; then
  echo "the planted bug was caught by:"
  grep '^\[  FAILED  \] [A-Za-z].* ms)' "$log" | head -5
  exit 0
fi
echo "the planted bug was NOT caught (exit status $status):"
tail -20 "$log"
exit 1
