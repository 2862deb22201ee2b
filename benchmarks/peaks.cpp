#include "benchmarks/peaks.h"

#include <dnnl.h>

#include <algorithm>
#include <cstring>

#include "benchmarks/timer.h"
#include "host/exec/buffer.h"

namespace felbo::bench {

double copy_bandwidth(const CpuExec& exec) {
  const std::int64_t n = std::int64_t{48} << 20;  // 192 MiB an array
  const Buffer<CpuExec, float> from(exec, n), to(exec, n);
  const auto loop = [&] {
    exec.parallel_for(n, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
      const float* a = from.data();
      float* __restrict b = to.data();
      for (std::int64_t i = begin; i < end; ++i) b[i] = 3.0f * a[i];
    });
  };
  const auto library = [&] {
    exec.parallel_for(n, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(float));
    });
  };
  const PairedTiming timing = time_in_pairs(loop, library, 7, 0.0);
  return 8.0 * static_cast<double>(n) / std::min(timing.first, timing.second);
}

double product_rate(const CpuExec& exec) {
  const std::int64_t n = 1536;
  const Buffer<CpuExec, float> a(exec, n * n), b(exec, n * n), c(exec, n * n);
  std::ranges::fill(a.host(), 0.5f);
  std::ranges::fill(b.host(), 0.25f);
  omp_set_num_threads(exec.threads());
  const auto product = [&] {
    dnnl_sgemm('N', 'N', n, n, n, 1.0f, a.data(), n, b.data(), n, 0.0f, c.data(), n);
  };
  std::vector<double> seconds;
  product();
  for (int i = 0; i < 9; ++i) seconds.push_back(seconds_per_call(product, 1));
  return 2.0 * static_cast<double>(n * n * n) / median(seconds);
}

}  // namespace felbo::bench
