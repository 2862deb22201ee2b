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

/// The weights of all samples of datum b, joined to those in `weights`.
template <class Args>
WeightSum join_datum(const Args& args, std::int64_t b, WeightSum weights) {
  for (std::int64_t begin = 0; begin < args.samples; begin += kTile) {
    const std::int64_t at = b * args.samples + begin;
    const WeightSum tile = tile_weights(args.log_px_given_z.data + at, args.log_pz.data + at,
                                        args.log_qz_given_x.data + at, std::min(kTile, args.samples - begin));
    weights = objective_math::join(weights, tile);
  }
  return weights;
}

void update_datum(const LogMeanExpArgs& args, std::int64_t b) {
  const WeightSum weights = join_datum(args, b, {args.max(b), args.sum(b)});
  args.max(b) = weights.max;
  args.sum(b) = weights.sum;
}

void weigh_datum(const ImportanceWeightsArgs& args, std::int64_t b) {
  const WeightSum all = join_datum(args, b, {-std::numeric_limits<double>::infinity(), 0.0});
  for (std::int64_t k = b * args.samples; k < (b + 1) * args.samples; ++k) {
    const double log_w =
        objective_math::log_weight(args.log_px_given_z(k), args.log_pz(k), args.log_qz_given_x(k));
    args.weight(k) = objective_math::normalised_weight(log_w, all);
  }
  args.bound(b) = static_cast<float>(objective_math::log_mean(all, args.samples));
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

void importance_weights(const CpuExec& exec, const ImportanceWeightsArgs& args) {
  check(args);
  exec.parallel_for(args.bound.size, 1 + kGrain / args.samples, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) weigh_datum(args, b);
  });
  for (const float bound : args.bound) args.total(0) += static_cast<double>(bound);
}

void sampled_kl(const CpuExec& exec, const SampledKlArgs& args) {
  check(args);
  exec.parallel_for(args.kl.size, 1 + kGrain / args.samples, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      double sum = 0.0;
      for (int s = 0; s < args.samples; ++s) {
        const std::int64_t k = b * args.samples + s;
        sum += static_cast<double>(args.log_qz_given_x(k)) - static_cast<double>(args.log_pz(k));
      }
      args.kl(b) = static_cast<float>(sum / args.samples);
    }
  });
}

double log_mean_exp_value(double max, double sum, std::int64_t samples) {
  FELBO_CHECK(samples >= 1, "log_mean_exp: the mean of {} samples is not defined", samples);
  return objective_math::log_mean({max, sum}, static_cast<double>(samples));
}

}  // namespace felbo
