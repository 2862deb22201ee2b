#!/bin/sh
# Passes when the given test program, which runs on the CUDA emulator, goes red under one of the schedules at least.
for schedule in forward reverse random greedy-forward greedy-reverse; do
  echo "schedule $schedule:"
  FELBO_EMULATOR_SCHEDULE=$schedule sh "$(dirname "$0")/expect_red.sh" "$@" && exit 0
done
exit 1
