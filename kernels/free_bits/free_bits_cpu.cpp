#include <algorithm>

#include "kernels/free_bits/free_bits.h"
#include "kernels/free_bits/free_bits_check.h"
#include "kernels/reparameterize/reparameterize_math.h"

namespace felbo {
namespace {

constexpr std::int64_t kColumns = 64;  // summed side by side

/// Columns [begin, begin + count), the rows in their order.
void sum_columns(const FreeBitsArgs& a, std::int64_t begin, std::int64_t count) {
  double sum[kColumns] = {};
  for (std::int64_t b = 0; b < a.mu.rows; ++b) {
    const float *mu = a.mu.row(b) + begin, *log_var = a.log_var.row(b) + begin;
    for (std::int64_t d = 0; d < count; ++d) {
      sum[d] += static_cast<double>(reparameterize_math::kl(mu[d], clamp_log_var(log_var[d], a.clamp)));
    }
  }
  for (std::int64_t d = 0; d < count; ++d) {
    const auto kl = static_cast<float>(sum[d] / static_cast<double>(a.mu.rows));
    a.kl(begin + d) = kl;
    a.weight(begin + d) = free_bits_weight(kl, a.threshold);
  }
}

}  // namespace

void free_bits(const CpuExec& exec, const FreeBitsArgs& a) {
  check(a);
  const std::int64_t blocks = (a.mu.cols + kColumns - 1) / kColumns;
  exec.parallel_for(blocks, 1 + 64 / a.mu.rows, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t begin = first * kColumns; begin < std::min(last * kColumns, a.mu.cols);
         begin += kColumns) {
      sum_columns(a, begin, std::min(kColumns, a.mu.cols - begin));
    }
  });
}

}  // namespace felbo
