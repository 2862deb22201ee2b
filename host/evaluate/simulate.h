// Data drawn from a model, with the z that each was drawn from: for such an x, z is an exact draw of p(z|x).
#pragma once

#include <vector>

#include "host/data/data_part.h"
#include "host/evaluate/draw.h"
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
  const Exec exec = with_float_products(on);
  const std::int64_t X = vae.config().dimensions, Z = vae.config().latent;
  const std::int64_t most = std::min(detail::kGenerateRows, count);
  SimulatedData out{
      .z = draw_prior(exec, vae, parameters, count, seed),
      .data = {.rows = count, .cols = X, .shape = {}, .bytes = {}, .floats = {}, .exact_log_px = {}}};
  const MlpWorkspace<Exec> work(exec, vae.decoder(), most, false);
  const LatentWorkspace<Exec> latent(exec, vae, most, 1, false);
  const Buffer<Exec, float> codes(exec, most * Z);
  const std::vector<float> flat = to_host(exec, parameters);
  const View<const float, 1> own = vae.own(View<const float, 1>(flat.data(), vae.table().size()));
  for (std::int64_t first = 0; first < count; first += most) {
    const std::int64_t rows = std::min(most, count - first), outputs = vae.decoder().out();
    upload(exec, {out.z.data() + first * Z, detail::elements(rows, Z)}, codes.view());
    forward(exec, vae.decoder(), parameters, vae.table(),
            decoder_input(exec, vae, View<const float, 2>(codes.matrix(rows, Z)), latent), work);
    const View<float, 2> result = work.result(vae.decoder(), rows);
    const std::vector<float> output = to_host(exec, View<const float, 1>(result.data, rows * outputs));
    const std::vector<float> x =
        draw_observations(vae.config().likelihood, View<const float, 2>(output.data(), rows, outputs), own,
                          {seed, 0, Purpose::kObservation}, static_cast<std::uint32_t>(first));
    out.data.floats.insert(out.data.floats.end(), x.begin(), x.end());
  }
  return out;
}

}  // namespace felbo
