// The threads that all benchmarks of a run use (`felbo bench --threads`).
#pragma once

#include "host/exec/cpu_exec.h"

namespace felbo::bench {

/// The Exec of this run; set once, before any benchmark runs.
inline CpuExec& bench_exec() {
  static CpuExec exec(0);
  return exec;
}

}  // namespace felbo::bench
