// What the objectives refuse.
#pragma once

#include "kernels/common/check.h"
#include "kernels/objective/objective.h"

namespace felbo {

inline void check_samples(const char* op, int samples, std::int64_t batch, std::int64_t have,
                          const char* what) {
  FELBO_CHECK(samples >= 1, "{}: at least one sample a datum is needed, got {}", op, samples);
  FELBO_CHECK(have == batch * samples, "{}: {} values of {} for {} data of {} samples", op, have, what, batch,
              samples);
}

inline void check(const ElboArgs& args) {
  const std::int64_t batch = args.kl.size;
  check_samples("elbo", args.samples, batch, args.log_px_given_z.size, "log_px_given_z");
  FELBO_CHECK(args.elbo.size == batch, "elbo: room for {} results, but {} data", args.elbo.size, batch);
  FELBO_CHECK(args.totals.size == 3, "elbo: totals holds 3 sums, got room for {}", args.totals.size);
}

inline void check(const LogMeanExpArgs& args) {
  const std::int64_t batch = args.max.size;
  FELBO_CHECK(args.sum.size == batch, "log_mean_exp: {} maxima, but {} sums", batch, args.sum.size);
  check_samples("log_mean_exp", args.samples, batch, args.log_px_given_z.size, "log_px_given_z");
  check_samples("log_mean_exp", args.samples, batch, args.log_pz.size, "log_pz");
  check_samples("log_mean_exp", args.samples, batch, args.log_qz_given_x.size, "log_qz_given_x");
}

inline void check(const SampledKlArgs& args) {
  check_samples("sampled_kl", args.samples, args.kl.size, args.log_pz.size, "log_pz");
  check_samples("sampled_kl", args.samples, args.kl.size, args.log_qz_given_x.size, "log_qz_given_x");
}

inline void check(const ImportanceWeightsArgs& args) {
  const std::int64_t batch = args.bound.size;
  check_samples("importance_weights", args.samples, batch, args.log_px_given_z.size, "log_px_given_z");
  check_samples("importance_weights", args.samples, batch, args.log_pz.size, "log_pz");
  check_samples("importance_weights", args.samples, batch, args.log_qz_given_x.size, "log_qz_given_x");
  check_samples("importance_weights", args.samples, batch, args.weight.size, "weight");
  FELBO_CHECK(args.total.size == 1, "importance_weights: total holds 1 sum, got room for {}",
              args.total.size);
}

}  // namespace felbo
