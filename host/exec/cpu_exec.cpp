#include "host/exec/cpu_exec.h"

#include "kernels/common/check.h"

namespace felbo {

CpuExec::CpuExec(int threads) : threads_(threads == 0 ? omp_get_num_procs() : threads) {
  FELBO_CHECK(threads >= 0 && threads <= 4096, "threads must be between 0 (all cores) and 4096, got {}",
              threads);
}

}  // namespace felbo
