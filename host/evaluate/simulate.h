// Data drawn from a model, with the z that each was drawn from: for such an x, z is an exact draw of p(z|x).
#pragma once

#include <vector>

#include "host/data/data_part.h"
#include "host/evaluate/generate.h"

namespace felbo {

struct SimulatedData {
  std::vector<float> z;  // (N, Z) ~ p(z)
  DataPart data;         // (N, X) x ~ p(x|z), in the units that the model sees
};

/// `count` draws; draw i depends on (seed, i) alone, and its z is that of draw_prior(). Throws
/// std::invalid_argument unless count is at least 1.
template <class Exec>
SimulatedData simulate(const Exec& on, const Vae& vae, View<const float, 1> parameters, std::int64_t count,
                       std::uint64_t seed) {
  FELBO_CHECK(count >= 1, "{} data to simulate", count);
  SimulatedData out{.z = draw_prior(on, vae, parameters, count, seed),
                    .data = {.rows = count,
                             .cols = vae.config().dimensions,
                             .shape = {},
                             .bytes = {},
                             .floats = {},
                             .exact_log_px = {}}};
  out.data.floats = draw_data(on, vae, parameters, out.z, seed);
  return out;
}

}  // namespace felbo
