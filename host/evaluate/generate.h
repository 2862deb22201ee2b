// What a trained model shows: data from codes, codes of data, reconstructions. Results are in host memory,
// and products in float whatever those of `on` are.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "host/data/resident_data.h"
#include "host/evaluate/draw.h"
#include "host/evaluate/latent.h"
#include "host/evaluate/prior.h"
#include "host/model/latent.h"
#include "host/model/vae.h"
#include "kernels/noise/noise.h"

namespace felbo {

/// q(z|x) of data rows, and the x that the encoder saw (binarised as held-out data are).
struct Encoded {
  std::int64_t count = 0;
  std::vector<float> posterior;  // (N, posterior.outputs(Z)) as the encoder gives it
  std::vector<float> mu;         // (N, Z); of a planar flow, where the flow begins
  std::vector<float> log_var;    // (N, Z), clamped; of a full covariance, the diagonal of its factor
  std::vector<float> carried;    // (N, Z) mu at the end of a planar flow; empty elsewhere
  std::vector<float> x;          // (N, X); empty unless asked for

  /// The code that stands for a datum: E[z|x], or of a planar flow where it carries its beginning's mean.
  const std::vector<float>& code() const { return carried.empty() ? mu : carried; }
};

namespace detail {

inline constexpr std::int64_t kGenerateRows = 256;  // at a time: an Exec's memory does not grow with the rows

inline std::size_t elements(std::int64_t rows, std::int64_t cols) {
  return static_cast<std::size_t>(rows * cols);
}

/// Decodes z (N, Z) in host memory, so many rows at a time: calls f(first row, output (rows, outputs * X)).
template <class Exec, class F>
void decode_rows(const Exec& exec, const Vae& vae, View<const float, 1> parameters,
                 const std::vector<float>& z, const F& f) {
  const std::int64_t Z = vae.config().latent;
  const std::int64_t N = static_cast<std::int64_t>(z.size()) / Z, most = std::min(kGenerateRows, N);
  const MlpWorkspace<Exec> work(exec, vae.decoder(), most, false);
  const LatentWorkspace<Exec> latent(exec, vae, most, 1, false, false);
  const Buffer<Exec, float> codes(exec, most * Z);
  for (std::int64_t first = 0; first < N; first += most) {
    const std::int64_t rows = std::min(most, N - first);
    upload(exec, {z.data() + first * Z, elements(rows, Z)}, codes.view());
    forward(exec, vae.decoder(), parameters, vae.table(),
            decoder_input(exec, vae, View<const float, 2>(codes.matrix(rows, Z)), latent), work);
    f(first, work.result(vae.decoder(), rows));
  }
}

}  // namespace detail

/// E[x|z] (N, X) for z (N, Z) in host memory. Under a prior that is uniform on the unit cube the decoder
/// reads Phi(z).
template <class Exec>
std::vector<float> decode(const Exec& on, const Vae& vae, View<const float, 1> parameters,
                          const std::vector<float>& z) {
  const Exec exec = with_float_products(on);
  const std::int64_t X = vae.config().dimensions,
                     N = static_cast<std::int64_t>(z.size()) / vae.config().latent;
  const Buffer<Exec, float> means(exec, std::min(detail::kGenerateRows, N) * X);
  std::vector<float> result(detail::elements(N, X));
  detail::decode_rows(exec, vae, parameters, z, [&](std::int64_t first, View<const float, 2> output) {
    likelihood_mean(exec, vae.config().likelihood, output, means.matrix(output.rows, X));
    download(exec, means.view(), {result.data() + first * X, detail::elements(output.rows, X)});
  });
  return result;
}

/// One draw x ~ p(x|z) (N, X) for each z (N, Z) in host memory: draw i depends on its z and (seed, i) alone.
template <class Exec>
std::vector<float> draw_data(const Exec& on, const Vae& vae, View<const float, 1> parameters,
                             const std::vector<float>& z, std::uint64_t seed) {
  const Exec exec = with_float_products(on);
  const Likelihood& which = vae.config().likelihood;
  const View<const float, 1> in_place = vae.own(parameters);
  const std::vector<float> own = in_place.empty() ? std::vector<float>() : to_host(exec, in_place);
  std::vector<float> result;
  detail::decode_rows(exec, vae, parameters, z, [&](std::int64_t first, View<const float, 2> output) {
    const std::vector<float> values =
        to_host(exec, View<const float, 1>{output.data, output.rows * output.cols});
    const std::vector<float> x = draw_observations(
        which, {values.data(), output.rows, output.cols}, {own.data(), static_cast<std::int64_t>(own.size())},
        {seed, 0, Purpose::kObservation}, static_cast<std::uint32_t>(first));
    result.insert(result.end(), x.begin(), x.end());
  });
  return result;
}

namespace detail {

/// From draws of hL (N, Z_L) down to h1 (N, Z), a layer at a time; the noise of draw i is that of datum i.
template <class Exec>
std::vector<float> draw_layers_below(const Exec& exec, const Vae& vae, View<const float, 1> parameters,
                                     std::vector<float> h, std::uint64_t seed) {
  for (std::size_t l = vae.above().size(); l-- > 0;) {
    const LayerAbove& layer = vae.above()[l];
    const std::int64_t N = static_cast<std::int64_t>(h.size()) / layer.latent, Z = layer.below,
                       most = std::min(kGenerateRows, N);
    const NoiseStream noise{seed, 0, purpose_of_layer(Purpose::kPriorBelow, static_cast<int>(l) + 2)};
    const MlpWorkspace<Exec> work(exec, layer.decoder, most, false);
    const Buffer<Exec, float> above(exec, most * layer.latent), below(exec, most * Z), kl(exec, most);
    const Buffer<Exec, std::int32_t> clamped(exec, most);
    const Buffer<Exec, std::uint32_t> datum(exec, most);
    std::vector<std::uint32_t> rows_of_tile(static_cast<std::size_t>(most));
    std::vector<float> drawn(elements(N, Z));
    for (std::int64_t first = 0; first < N; first += most) {
      const std::int64_t rows = std::min(most, N - first);
      std::iota(rows_of_tile.begin(), rows_of_tile.end(), static_cast<std::uint32_t>(first));
      upload(exec, rows_of_tile, datum.view());
      upload(exec, {h.data() + first * layer.latent, elements(rows, layer.latent)}, above.view());
      forward(exec, layer.decoder, parameters, vae.table(), above.matrix(rows, layer.latent), work);
      const View<const float, 2> given = work.result(layer.decoder, rows);
      reparameterize(exec, {.mu = given.col_slice(0, Z),
                            .log_var = given.col_slice(Z, Z),
                            .clamp = vae.config().clamp,
                            .noise = noise,
                            .datum = datum.vector(rows),
                            .z = below.matrix(rows, Z),
                            .kl = kl.vector(rows),
                            .clamped = clamped.vector(rows)});
      download(exec, below.view(), {drawn.data() + first * Z, elements(rows, Z)});
    }
    h = std::move(drawn);
  }
  return h;
}

}  // namespace detail

/// `count` draws z ~ p(z), (count, Z); draw i depends on (seed, i) and the parameters alone. Of a prior that
/// is uniform on the unit cube it is the z whose Phi(z) decode() reads.
/// With several stochastic layers hL ~ p(hL), then each layer given the one above, down to z = h1.
template <class Exec>
std::vector<float> draw_prior(const Exec& on, const Vae& vae, View<const float, 1> parameters,
                              std::int64_t count, std::uint64_t seed) {
  const Exec exec = with_float_products(on);
  const NoiseStream noise{seed, 0, Purpose::kPrior};
  const std::int64_t Z = vae.above().empty() ? vae.config().latent : vae.above().back().latent;
  const Buffer<Exec, float> z(exec, count * Z);
  normal_fill(exec, {noise, 0, 0, z.matrix(count, Z)});
  std::vector<float> eps = to_host(exec, z.view());
  if (!vae.above().empty()) return detail::draw_layers_below(exec, vae, parameters, std::move(eps), seed);
  if (!vae.config().prior.is_standard())
    place_in_components(learned_prior(exec, vae, parameters), noise, eps);
  return eps;
}

/// log Var(z_d | x) (N, Z): of a full covariance, the diagonal of L L^T; else encoded.log_var.
std::vector<float> marginal_log_vars(const VaeConfig& config, const Encoded& encoded);

namespace detail {

/// The means of q_0 at the end of their planar flow, (N, Z).
template <class Exec>
std::vector<float> carry(const Exec& exec, const Vae& vae, const Encoded& encoded) {
  const std::int64_t N = encoded.count, Z = vae.config().latent, columns = vae.encoder().out();
  const Buffer<Exec, float> posterior(exec, N * columns), z(exec, N * Z), log_q(exec, N);
  upload(exec, encoded.posterior, posterior.view());
  upload(exec, encoded.mu, z.view());
  planar_flow(exec, {.flow = posterior.matrix(N, columns).col_slice(2 * Z, columns - 2 * Z),
                     .samples = 1,
                     .z = z.matrix(N, Z),
                     .log_qz_given_x = log_q.view(),
                     .activation = {}});
  return to_host(exec, z.view());
}

}  // namespace detail

/// Encodes rows [0, count) of the data. Throws std::invalid_argument if the data's width is not the model's
/// or count is not between 1 and the number of rows.
template <class Exec>
Encoded encode(const Exec& on, const Vae& vae, View<const float, 1> parameters,
               const ResidentData<Exec>& data, std::int64_t count, Binarize binarize, std::uint64_t seed,
               bool keep_x) {
  const Exec exec = with_float_products(on);
  const std::int64_t X = vae.config().dimensions, Z = vae.config().latent;
  const LogVarClamp clamp = vae.config().clamp;
  FELBO_CHECK(data.cols() == X, "the data have {} columns, the model was made for {}", data.cols(), X);
  FELBO_CHECK(count >= 1 && count <= data.rows(), "count must be between 1 and the {} rows there are, got {}",
              data.rows(), count);
  const std::int64_t most = std::min(detail::kGenerateRows, count);
  Encoded out{.count = count};
  const MlpWorkspace<Exec> work(exec, vae.encoder(), most, false);
  const Buffer<Exec, float> buffer(exec, most * X), input(exec, vae.reads_log_counts() ? most * X : 0);
  RowTiles<Exec> tiles(exec, data, most, count);
  for (std::int64_t first = 0; first < count; first += most) {
    const std::int64_t rows = std::min(most, count - first);
    const View<float, 2> x = buffer.matrix(rows, X);
    tiles.gather_rows(first, binarize, seed, x);
    forward(exec, vae.encoder(), parameters, vae.table(), encoder_input<Exec, float>(exec, vae, x, input),
            work);
    const View<const float, 1> result{work.result(vae.encoder(), rows).data, rows * vae.encoder().out()};
    const std::vector<float> given = to_host(exec, result);
    out.posterior.insert(out.posterior.end(), given.begin(), given.end());
    const std::vector<float> posterior = means_and_log_vars(vae.config(), given);
    for (auto row = posterior.begin(); row != posterior.end(); row += 2 * Z) {
      out.mu.insert(out.mu.end(), row, row + Z);
      std::transform(row + Z, row + 2 * Z, std::back_inserter(out.log_var),
                     [&](float v) { return std::clamp(v, clamp.lo, clamp.hi); });
    }
    if (!keep_x) continue;
    const std::vector<float> seen = to_host(exec, buffer.vector(rows * X));
    out.x.insert(out.x.end(), seen.begin(), seen.end());
  }
  if (vae.config().posterior.family == PosteriorFamily::kPlanarFlow)
    out.carried = detail::carry(exec, vae, out);
  return out;
}

/// One draw z ~ q(z|x) for each encoded row, (N, Z): bit for bit the first sample that evaluate() takes with
/// this seed.
template <class Exec>
std::vector<float> draw_posterior(const Exec& exec, const Vae& vae, const Encoded& encoded,
                                  std::uint64_t seed) {
  const std::int64_t N = encoded.count, Z = vae.config().latent;
  const Buffer<Exec, float> posterior(exec, N * vae.encoder().out()), z(exec, N * Z), kl(exec, N),
      log_pz(exec, N), log_qz(exec, N);
  const Buffer<Exec, std::int32_t> clamped(exec, N);
  const Buffer<Exec, std::uint32_t> datum(exec, N);
  std::vector<std::uint32_t> rows(static_cast<std::size_t>(N));
  std::iota(rows.begin(), rows.end(), 0u);
  upload(exec, encoded.posterior, posterior.view());
  upload(exec, rows, datum.view());
  const LatentWorkspace<Exec> work(exec, vae, N, 1, false, false);
  const LatentDrawOf<float> draw{.posterior = posterior.matrix(N, vae.encoder().out()),
                                 .pseudo = {},
                                 .parameters = {},
                                 .noise = {seed, 0, Purpose::kHeldOutLatent},
                                 .datum = datum.view(),
                                 .z = z.matrix(N, Z),
                                 .kl = kl.view(),
                                 .clamped = clamped.view(),
                                 .log_pz = log_pz.view(),
                                 .log_qz_given_x = log_qz.view()};
  draw_posterior_sample(exec, vae, draw, work, true);
  return to_host(exec, z.view());
}

}  // namespace felbo
