#include "host/oracle/nonlinear_case.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/common/noise_stream.h"
#include "kernels/common/normal.h"

namespace felbo::oracle {
namespace {

// The sample index of the noise stream tells apart what is drawn; oracle_case.cpp has the first 16.
enum Draw : std::uint32_t { kWeight = 16, kLatent, kObservation };

NoiseStream stream_of(std::uint64_t seed) { return {seed, /*step=*/0, Purpose::kData}; }

double normal(std::uint64_t seed, std::uint32_t datum, Draw draw, std::int64_t index) {
  const auto block = static_cast<std::uint32_t>(index / 4);
  return double(normals_from_words(stream_of(seed).words(datum, draw, block))[static_cast<int>(index % 4)]);
}
double uniform(std::uint64_t seed, std::uint32_t datum, Draw draw, std::int64_t index) {
  const auto block = static_cast<std::uint32_t>(index / 4);
  return double(uniform_from_word(stream_of(seed).words(datum, draw, block)[static_cast<int>(index % 4)]));
}

View<float, 1> view_of(const Vae& vae, std::vector<float>& flat) { return {flat.data(), vae.table().size()}; }

/// q(z|x) = N(0, 1.3^2 I) whatever x is.
void set_wide_encoder(const Vae& vae, std::vector<float>& flat) {
  const View<float, 1> bias = vector_of(view_of(vae, flat), vae.table()[vae.encoder().layers().back().bias]);
  for (std::int64_t d = 0; d < vae.config().latent; ++d)
    bias(vae.config().latent + d) = static_cast<float>(2.0 * std::log(1.3));
}

NonlinearModel grid_model(const char* likelihood, std::uint64_t seed) {
  const Vae vae({.dimensions = 8,
                 .latent = 2,
                 .hidden = {16},
                 .activation = Activation::kTanh,
                 .likelihood = likelihood_from_names(likelihood, "learned", {})});
  NonlinearModel m{.name = std::string("2-16-8 tanh, ") + likelihood,
                   .vae = vae,
                   .flat = std::vector<float>(static_cast<std::size_t>(vae.table().size())),
                   .data = {},
                   .z = {},
                   .exact_log_px = {}};
  for (const ParameterEntry& entry : vae.table().entries()) {
    if (!entry.name.starts_with("decoder")) continue;
    // Hidden units that bend within the prior's reach, and outputs of size 1.
    const double size = entry.name.starts_with("decoder.0") ? 1.0 : 0.5;
    for (std::int64_t i = 0; i < entry.size; ++i)
      m.flat[static_cast<std::size_t>(entry.offset + i)] =
          static_cast<float>(size * normal(seed, 0, kWeight, entry.offset + i));
  }
  for (float& log_var : vae.own(view_of(vae, m.flat))) log_var = static_cast<float>(std::log(0.5));
  set_wide_encoder(vae, m.flat);
  return m;
}

// --- The mixture

constexpr int kComponents = 4;
constexpr float kCuts[kComponents - 1] = {-0.75f, 0.0f, 0.5f};
constexpr float kSteep = 1e30f;
constexpr int kMixtureDimensions = 6;
constexpr double kMixtureVariance = 0.5;

NonlinearModel mixture_model(std::uint64_t seed) {
  const Vae vae({.dimensions = kMixtureDimensions,
                 .latent = 1,
                 .hidden = {kComponents - 1},
                 .activation = Activation::kTanh,
                 .likelihood = likelihood_from_names("gaussian", "learned", {})});
  NonlinearModel m{.name = "mixture of 4 Gaussians",
                   .vae = vae,
                   .flat = std::vector<float>(static_cast<std::size_t>(vae.table().size())),
                   .data = {},
                   .z = {},
                   .exact_log_px = {}};
  const View<float, 1> flat = view_of(vae, m.flat);
  const std::vector<Layer>& layers = vae.decoder().layers();
  for (int k = 0; k + 1 < kComponents; ++k) {
    matrix_of(flat, vae.table()[layers[0].weight])(0, k) = kSteep;
    vector_of(flat, vae.table()[layers[0].bias])(k) = -kSteep * kCuts[k];
    for (int j = 0; j < kMixtureDimensions; ++j)
      matrix_of(flat, vae.table()[layers[1].weight])(k, j) =
          static_cast<float>(0.5 * normal(seed, 0, kWeight, k * kMixtureDimensions + j));
  }
  for (float& log_var : vae.own(flat)) log_var = static_cast<float>(std::log(kMixtureVariance));
  set_wide_encoder(vae, m.flat);
  return m;
}

/// P(z <= t) of a standard normal.
double normal_cdf(double t) { return 0.5 * std::erfc(-t / std::numbers::sqrt2); }

/// The closed form, from the cuts and the decoder's weights: no z is decoded.
double mixture_log_px(const NonlinearModel& m, const Vector& x) {
  const View<const float, 1> flat{m.flat.data(), m.vae.table().size()};
  const Layer& last = m.vae.decoder().layers().back();
  const View<const float, 2> jump = matrix_of(flat, m.vae.table()[last.weight]);
  const double variance = std::exp(double(m.vae.own(flat)(0)));
  std::vector<double> terms;
  double below = 0.0;
  for (int k = 0; k < kComponents; ++k) {
    const double to = k + 1 < kComponents ? normal_cdf(double(kCuts[k])) : 1.0;
    double term = std::log(to - below);
    for (int j = 0; j < kMixtureDimensions; ++j) {
      double mean = 0.0;
      for (int i = 0; i + 1 < kComponents; ++i) mean += (i < k ? 1.0 : -1.0) * double(jump(i, j));
      const double e = x(j) - mean;
      term -= 0.5 * (std::log(2.0 * std::numbers::pi * variance) + e * e / variance);
    }
    terms.push_back(term);
    below = to;
  }
  const double largest = *std::ranges::max_element(terms);
  double sum = 0.0;
  for (const double term : terms) sum += std::exp(term - largest);
  return largest + std::log(sum);
}

// --- Data

/// z ~ p(z) and x ~ p(x|z) for each row.
void draw(NonlinearModel& m, std::int64_t rows, std::uint64_t seed) {
  const std::int64_t X = m.vae.config().dimensions, Z = m.vae.config().latent;
  m.data = {.rows = rows, .cols = X, .shape = {}, .bytes = {}, .floats = {}, .exact_log_px = {}};
  for (std::int64_t n = 0; n < rows; ++n) {
    const auto datum = static_cast<std::uint32_t>(n);
    Vector z(Z);
    for (std::int64_t d = 0; d < Z; ++d) {
      m.z.push_back(static_cast<float>(normal(seed, datum, kLatent, d)));
      z(d) = double(m.z.back());
    }
    const DecodedPoint at = decode_point(m.vae, m.flat, z);
    for (std::int64_t j = 0; j < X; ++j) {
      const double l = at.location(j);
      const bool bernoulli = m.vae.config().likelihood.family == LikelihoodFamily::kBernoulli;
      const double x = bernoulli ? double(uniform(seed, datum, kObservation, j) < 1.0 / (1.0 + std::exp(-l)))
                                 : l + std::exp(at.log_var(j) / 2.0) * normal(seed, datum, kObservation, j);
      m.data.floats.push_back(static_cast<float>(x));
    }
  }
}

}  // namespace

Vector NonlinearModel::x(std::int64_t n) const {
  return Eigen::Map<const Eigen::VectorXf>(data.floats.data() + n * data.cols, data.cols).cast<double>();
}

NonlinearModel make_nonlinear_model(NonlinearKind kind, std::int64_t rows, std::uint64_t seed) {
  const bool mixture = kind == NonlinearKind::kMixture;
  NonlinearModel m = mixture
                         ? mixture_model(seed)
                         : grid_model(kind == NonlinearKind::kGaussianGrid ? "gaussian" : "bernoulli", seed);
  draw(m, rows, seed);
  if (mixture) {
    for (std::int64_t n = 0; n < rows; ++n) m.exact_log_px.push_back(mixture_log_px(m, m.x(n)));
    return m;
  }
  const GridOracle grid(m.vae, m.flat);
  for (std::int64_t n = 0; n < rows; ++n) {
    const Quadrature exact = grid.log_px(m.x(n));
    m.exact_log_px.push_back(exact.value);
    m.exact_error = std::max(m.exact_error, exact.error);
  }
  return m;
}

}  // namespace felbo::oracle
