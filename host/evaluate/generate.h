// What a trained model shows: data from the prior, codes, reconstructions. Results are in host memory, and
// products in float whatever those of `on` are.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "host/data/resident_data.h"
#include "host/model/vae.h"
#include "kernels/noise/noise.h"
#include "kernels/reparameterize/reparameterize.h"

namespace felbo {

/// q(z|x) of data rows, and the x that the encoder saw (binarised as held-out data are).
struct Encoded {
  std::int64_t count = 0;
  std::vector<float> mu;       // (N, Z)
  std::vector<float> log_var;  // (N, Z), clamped
  std::vector<float> x;        // (N, X); empty unless asked for
};

namespace detail {

inline constexpr std::int64_t kGenerateRows = 256;  // at a time: an Exec's memory does not grow with the rows

inline std::size_t elements(std::int64_t rows, std::int64_t cols) {
  return static_cast<std::size_t>(rows * cols);
}

}  // namespace detail

/// E[x|z] (N, X) for z (N, Z) in host memory.
template <class Exec>
std::vector<float> decode(const Exec& on, const Vae& vae, View<const float, 1> parameters,
                          const std::vector<float>& z) {
  const Exec exec = with_float_products(on);
  const std::int64_t X = vae.config().dimensions, Z = vae.config().latent;
  const std::int64_t N = static_cast<std::int64_t>(z.size()) / Z, most = std::min(detail::kGenerateRows, N);
  const MlpWorkspace<Exec> work(exec, vae.decoder(), most, false);
  const Buffer<Exec, float> codes(exec, most * Z), means(exec, most * X);
  std::vector<float> result(detail::elements(N, X));
  for (std::int64_t first = 0; first < N; first += most) {
    const std::int64_t rows = std::min(most, N - first);
    upload(exec, {z.data() + first * Z, detail::elements(rows, Z)}, codes.view());
    forward(exec, vae.decoder(), parameters, vae.table(), codes.matrix(rows, Z), work);
    likelihood_mean(exec, vae.config().likelihood, work.result(vae.decoder(), rows), means.matrix(rows, X));
    download(exec, means.view(), {result.data() + first * X, detail::elements(rows, X)});
  }
  return result;
}

/// `count` draws z ~ p(z), (count, Z); draw i depends on (seed, i) alone.
template <class Exec>
std::vector<float> draw_prior(const Exec& exec, const Vae& vae, std::int64_t count, std::uint64_t seed) {
  const Buffer<Exec, float> z(exec, count * vae.config().latent);
  normal_fill(exec, {{seed, 0, Purpose::kPrior}, 0, 0, z.matrix(count, vae.config().latent)});
  return to_host(exec, z.view());
}

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
  Encoded out{count, {}, {}, {}};
  const MlpWorkspace<Exec> work(exec, vae.encoder(), most, false);
  const Buffer<Exec, float> buffer(exec, most * X), input(exec, vae.reads_log_counts() ? most * X : 0);
  const Buffer<Exec, std::uint32_t> rows_of_tile(exec, most);
  std::vector<std::uint32_t> datum(static_cast<std::size_t>(most));
  for (std::int64_t first = 0; first < count; first += most) {
    const std::int64_t rows = std::min(most, count - first);
    std::iota(datum.begin(), datum.end(), static_cast<std::uint32_t>(first));
    upload(exec, datum, rows_of_tile.view());
    const View<float, 2> x = buffer.matrix(rows, X);
    data.gather_rows(exec, rows_of_tile.vector(rows), binarize, {seed, 0, Purpose::kHeldOutBinarize}, x);
    forward(exec, vae.encoder(), parameters, vae.table(), encoder_input<Exec, float>(exec, vae, x, input),
            work);
    const View<const float, 1> result{work.result(vae.encoder(), rows).data, rows * 2 * Z};
    const std::vector<float> posterior = to_host(exec, result);
    for (auto row = posterior.begin(); row != posterior.end(); row += 2 * Z) {
      out.mu.insert(out.mu.end(), row, row + Z);
      std::transform(row + Z, row + 2 * Z, std::back_inserter(out.log_var),
                     [&](float v) { return std::clamp(v, clamp.lo, clamp.hi); });
    }
    if (!keep_x) continue;
    const std::vector<float> seen = to_host(exec, buffer.vector(rows * X));
    out.x.insert(out.x.end(), seen.begin(), seen.end());
  }
  return out;
}

/// One draw z ~ q(z|x) for each encoded row, (N, Z): bit for bit the first sample that evaluate() takes with
/// this seed.
template <class Exec>
std::vector<float> draw_posterior(const Exec& exec, const Vae& vae, const Encoded& encoded,
                                  std::uint64_t seed) {
  const std::int64_t N = encoded.count, Z = vae.config().latent;
  const Buffer<Exec, float> mu(exec, N * Z), log_var(exec, N * Z), z(exec, N * Z), kl(exec, N);
  const Buffer<Exec, std::int32_t> clamped(exec, N);
  const Buffer<Exec, std::uint32_t> datum(exec, N);
  std::vector<std::uint32_t> rows(static_cast<std::size_t>(N));
  std::iota(rows.begin(), rows.end(), 0u);
  upload(exec, encoded.mu, mu.view());
  upload(exec, encoded.log_var, log_var.view());
  upload(exec, rows, datum.view());
  reparameterize(exec, {.mu = mu.matrix(N, Z),
                        .log_var = log_var.matrix(N, Z),
                        .clamp = vae.config().clamp,
                        .noise = {seed, 0, Purpose::kHeldOutLatent},
                        .datum = datum.view(),
                        .z = z.matrix(N, Z),
                        .kl = kl.view(),
                        .clamped = clamped.view(),
                        .log_pz = {},
                        .log_qz_given_x = {}});
  return to_host(exec, z.view());
}

}  // namespace felbo
