// The KL of each latent dimension and which of them pay for it.
#pragma once

#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/free_bits/free_bits.h"
#include "kernels/free_bits/free_bits_reference.h"

namespace felbo::checks {

template <class Exec>
void check_free_bits(const Exec& exec, Parity& parity) {
  for (const std::int64_t latent : {1, 20, 33, 257}) {
    for (const std::int64_t batch : {1, 31, 257, 1025}) {
      parity.begin_case(fmt::format("B {} Z {}", batch, latent));
      const Layout layout{latent % 3, latent % 2};
      const LogVarClamp clamp{-1.0f, 1.0f};
      const float threshold = 0.45f;
      auto mu = normals(exec, batch, latent, layout, kInputSeed, 0.7f);
      auto log_var = normals(exec, batch, latent, layout, kInputSeed + 1, 0.8f, -0.3f);
      Mirror<Exec, float> kl(exec, 1, latent), weight(exec, 1, latent);
      free_bits(exec, {.mu = mu.matrix(),
                       .log_var = log_var.matrix(),
                       .clamp = clamp,
                       .threshold = threshold,
                       .kl = kl.vector(),
                       .weight = weight.vector()});
      const Values want =
          reference::kl_of_dimensions<double>(mu.doubles(), log_var.doubles(), static_cast<int>(batch),
                                              static_cast<int>(latent), clamp.lo, clamp.hi);
      // Each KL is within 6 roundings of the magnitudes of its terms, here at most e + 3 + mu^2.
      Values tolerance, paying;
      for (const double value : want) tolerance.push_back(6 * kEps * (6 + 2 * value));
      kl.judge(parity, "kl", want, tolerance);
      for (std::int64_t d = 0; d < latent; ++d) paying.push_back(kl.host()(0, d) > threshold ? 1.0 : 0.0);
      weight.judge(parity, "weight", paying, 0.0);
    }
  }
}

template <class Exec>
void add_free_bits_checks(std::vector<Check<Exec>>& checks) {
  checks.push_back({"free_bits/kl and weights", check_free_bits<Exec>});
}

}  // namespace felbo::checks
