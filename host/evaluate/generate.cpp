#include "host/evaluate/generate.h"

#include <algorithm>
#include <numeric>

#include "kernels/noise/noise.h"
#include "kernels/reparameterize/reparameterize.h"

namespace felbo {
namespace {

constexpr std::int64_t kRows = 256;  // rows at a time: memory does not grow with the number of rows

std::size_t elements(std::int64_t rows, std::int64_t cols) { return static_cast<std::size_t>(rows * cols); }

}  // namespace

std::vector<float> decode(const CpuExec& exec, const Vae& vae, View<const float, 1> parameters,
                          View<const float, 2> z) {
  const std::int64_t X = vae.config().dimensions;
  std::vector<float> mean(elements(z.rows, X));
  const MlpWorkspace<CpuExec> work(exec, vae.decoder(), std::min(kRows, z.rows), false);
  for (std::int64_t first = 0; first < z.rows; first += kRows) {
    const std::int64_t rows = std::min(kRows, z.rows - first);
    forward(exec, vae.decoder(), parameters, vae.table(), z.row_slice(first, rows), work);
    likelihood_mean(exec, vae.config().likelihood, work.result(vae.decoder(), rows),
                    View<float, 2>(mean.data() + first * X, rows, X));
  }
  return mean;
}

std::vector<float> draw_prior(const CpuExec& exec, const Vae& vae, std::int64_t count, std::uint64_t seed) {
  std::vector<float> z(elements(count, vae.config().latent));
  normal_fill(exec, {{seed, 0, Purpose::kPrior}, 0, 0, View<float, 2>(z.data(), count, vae.config().latent)});
  return z;
}

Encoded encode(const CpuExec& exec, const Vae& vae, View<const float, 1> parameters,
               const ResidentData<CpuExec>& data, std::int64_t count, Binarize binarize, std::uint64_t seed,
               bool keep_x) {
  const std::int64_t X = vae.config().dimensions, Z = vae.config().latent;
  const LogVarClamp clamp = vae.config().clamp;
  FELBO_CHECK(data.cols() == X, "the data have {} columns, the model was made for {}", data.cols(), X);
  FELBO_CHECK(count >= 1 && count <= data.rows(), "count must be between 1 and the {} rows there are, got {}",
              data.rows(), count);
  Encoded out{count, std::vector<float>(elements(count, Z)), std::vector<float>(elements(count, Z)),
              std::vector<float>(keep_x ? elements(count, X) : 0)};
  const MlpWorkspace<CpuExec> work(exec, vae.encoder(), kRows, false);
  const Buffer<CpuExec, float> buffer(exec, kRows * X);
  std::vector<std::uint32_t> datum(kRows);
  for (std::int64_t first = 0; first < count; first += kRows) {
    const std::int64_t rows = std::min(kRows, count - first);
    std::iota(datum.begin(), datum.end(), static_cast<std::uint32_t>(first));
    const View<float, 2> x = buffer.matrix(rows, X);
    data.gather_rows(exec, {datum.data(), rows}, binarize, {seed, 0, Purpose::kHeldOutBinarize}, x);
    forward(exec, vae.encoder(), parameters, vae.table(), x, work);
    const View<float, 2> posterior = work.result(vae.encoder(), rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      std::copy_n(posterior.row(i), Z, out.mu.data() + (first + i) * Z);
      std::transform(posterior.row(i) + Z, posterior.row(i) + 2 * Z, out.log_var.data() + (first + i) * Z,
                     [&](float v) { return std::clamp(v, clamp.lo, clamp.hi); });
    }
    if (keep_x) std::copy_n(x.data, rows * X, out.x.data() + first * X);
  }
  return out;
}

std::vector<float> draw_posterior(const CpuExec& exec, const Vae& vae, const Encoded& encoded,
                                  std::uint64_t seed) {
  const std::int64_t N = encoded.count, Z = vae.config().latent;
  std::vector<float> z(elements(N, Z)), kl(elements(N, 1));
  std::vector<std::int32_t> clamped(elements(N, 1));
  std::vector<std::uint32_t> datum(elements(N, 1));
  std::iota(datum.begin(), datum.end(), 0u);
  reparameterize(exec, {.mu = {encoded.mu.data(), N, Z},
                        .log_var = {encoded.log_var.data(), N, Z},
                        .clamp = vae.config().clamp,
                        .noise = {seed, 0, Purpose::kHeldOutLatent},
                        .datum = {datum.data(), N},
                        .z = {z.data(), N, Z},
                        .kl = {kl.data(), N},
                        .clamped = {clamped.data(), N},
                        .log_pz = {},
                        .log_qz_given_x = {}});
  return z;
}

}  // namespace felbo
