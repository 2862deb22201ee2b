#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/lanes.h"
#include "kernels/objective/objective.h"
#include "kernels/objective/objective_check.h"
#include "kernels/objective/objective_math.h"

namespace felbo {
namespace {

using objective_math::WeightSum;

constexpr std::int64_t kTile = 512;    // log-weights held at a time: they stay in the first-level cache
constexpr std::int64_t kGrain = 4096;  // log-weights that are worth a thread
static_assert(kTile % kLanes == 0);

/// Sum of x in double: kLanes partial sums, joined in a fixed order.
double sum(const float* x, std::int64_t n) {
  double lane[kLanes] = {};
  std::int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (int l = 0; l < kLanes; ++l) lane[l] += static_cast<double>(x[j + l]);
  }
  for (int l = 0; j < n; ++j, ++l) lane[l] += static_cast<double>(x[j]);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
  }
  return lane[0];
}

double largest(const double* x, std::int64_t n) {
  double lane[kLanes];
  std::fill(lane, lane + kLanes, -std::numeric_limits<double>::infinity());
  std::int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (int l = 0; l < kLanes; ++l) lane[l] = x[j + l] > lane[l] ? x[j + l] : lane[l];
  }
  for (int l = 0; j < n; ++j, ++l) lane[l] = x[j] > lane[l] ? x[j] : lane[l];
  double max = lane[0];
  for (int l = 1; l < kLanes; ++l) max = lane[l] > max ? lane[l] : max;
  return max;
}

/// The weights of `n` samples, at most kTile.
WeightSum tile_weights(const float* __restrict log_px_given_z, const float* __restrict log_pz,
                       const float* __restrict log_qz_given_x, std::int64_t n) {
  double log_w[kTile];
  for (std::int64_t s = 0; s < n; ++s) {
    log_w[s] = objective_math::log_weight(log_px_given_z[s], log_pz[s], log_qz_given_x[s]);
  }
  const double max = largest(log_w, n);
  float weight[kTile];
  for (std::int64_t s = 0; s < n; ++s) weight[s] = objective_math::relative_weight(log_w[s], max);
  return {max, sum(weight, n)};
}

void update_datum(const LogMeanExpArgs& args, std::int64_t b) {
  WeightSum weights{args.max(b), args.sum(b)};
  for (std::int64_t begin = 0; begin < args.samples; begin += kTile) {
    const std::int64_t at = b * args.samples + begin;
    const WeightSum tile = tile_weights(args.log_px_given_z.data + at, args.log_pz.data + at,
                                        args.log_qz_given_x.data + at, std::min(kTile, args.samples - begin));
    weights = objective_math::join(weights, tile);
  }
  args.max(b) = weights.max;
  args.sum(b) = weights.sum;
}

}  // namespace

void elbo(const CpuExec&, const ElboArgs& args) {
  check(args);
  // On one thread: a value a datum, and the totals are added in the order of the rows.
  for (std::int64_t b = 0; b < args.kl.size; ++b) {
    const double log_px = sum(args.log_px_given_z.data + b * args.samples, args.samples) / args.samples;
    const double kl = static_cast<double>(args.kl(b));
    args.elbo(b) = static_cast<float>(log_px - kl);
    args.totals(0) += log_px;
    args.totals(1) += kl;
    args.totals(2) += log_px - kl;
  }
}

void log_mean_exp_update(const CpuExec& exec, const LogMeanExpArgs& args) {
  check(args);
  exec.parallel_for(args.max.size, 1 + kGrain / args.samples, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) update_datum(args, b);
  });
}

double log_mean_exp_value(double max, double sum, std::int64_t samples) {
  FELBO_CHECK(samples >= 1, "log_mean_exp: the mean of {} samples is not defined", samples);
  return max + std::log(sum / static_cast<double>(samples));
}

}  // namespace felbo
