// A batch cut in two: what the forward pass says of a datum has the same bits as in the whole batch. The way
// back goes through products that oneDNN sums in another order for less than 16 rows or so, so a datum's
// gradients agree to rounding. (Gradients of parameters are sums over the batch, so they are another matter.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>

#include "host/data/resident_data.h"
#include "host/model/latent.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

constexpr std::int64_t kRows = 300, kDimensions = 37, kLatent = 5;
constexpr int kSamples = 3;

struct Case {
  std::string name, likelihood = "bernoulli";
  Posterior posterior;
  Prior prior;
  std::vector<LayerConfig> above;
  Binarize binarize = Binarize::kNone;
};

std::vector<Case> cases() {
  std::vector<Case> all(7);
  all[0] = {.name = "bernoulli", .binarize = Binarize::kDynamic};
  all[1] = {.name = "gaussian", .likelihood = "gaussian"};
  all[2] = {.name = "poisson", .likelihood = "poisson"};
  all[3] = {.name = "isotropic", .posterior = {.family = PosteriorFamily::kIsotropicGaussian}};
  all[4] = {.name = "covariance", .posterior = {.family = PosteriorFamily::kFullCovarianceGaussian}};
  all[5] = {.name = "flow",
            .posterior = {.family = PosteriorFamily::kPlanarFlow, .flow_steps = 3},
            .prior = {.family = PriorFamily::kMixture, .components = 4}};
  all[6] = {.name = "layers", .above = {{4, {7}}}};
  return all;
}

DataPart data_of(const Case& c) {
  DataPart part;
  part.rows = kRows, part.cols = kDimensions;
  std::vector<float> values(kRows * kDimensions);
  test::fill_normal({values.data(), kRows, kDimensions}, 7);
  for (const float v : values) {
    if (c.likelihood == "gaussian") {
      part.floats.push_back(v);
    } else if (c.likelihood == "poisson") {
      part.floats.push_back(std::floor(std::abs(3 * v)));
    } else {
      part.bytes.push_back(static_cast<std::uint8_t>(std::clamp(v * 90 + 128, 0.0f, 255.0f)));
    }
  }
  return part;
}

/// What a pass leaves behind, each array row after row.
using Arrays = std::map<std::string, std::vector<float>>;

class Model {
 public:
  explicit Model(const Case& c)
      : part_(data_of(c)),
        vae_({.dimensions = kDimensions,
              .latent = kLatent,
              .hidden = {33, 17},
              .activation = Activation::kTanh,
              .likelihood = likelihood_from_names(c.likelihood, "per-element", {}),
              .clamp = {},
              .posterior = c.posterior,
              .prior = c.prior,
              .above = c.above}),
        parameters_(static_cast<std::size_t>(vae_.table().size())),
        binarize_(c.binarize) {
    const auto count = static_cast<std::int64_t>(parameters_.size());
    test::fill_normal({parameters_.data(), 1, count}, 3, 0.2f);
  }

  /// Forwards and back on the data [begin, end) of an order; the scales are those of a batch of kRows.
  Arrays pass(const std::vector<std::uint32_t>& order, std::int64_t begin, std::int64_t end, int threads) {
    const CpuExec exec(threads);
    const std::int64_t B = end - begin, R = B * kSamples;
    const View<const std::uint32_t, 1> rows{order.data() + begin, B};
    const View<float, 1> parameters{parameters_.data(), static_cast<std::int64_t>(parameters_.size())};
    VaeWorkspace<CpuExec> work(exec, vae_, B, kSamples, true);
    LatentWorkspace<CpuExec> latent(exec, vae_, B, kSamples, true);
    Buffer<CpuExec, float> gradients(exec, parameters.size), grad_x(exec, B * kDimensions);
    Arrays seen;
    const auto keep = [&](const char* name, const float* first, std::int64_t size) {
      seen[name].assign(first, first + size);
    };

    const View<float, 2> x = work.x.matrix(B, kDimensions);
    ResidentData<CpuExec>(exec, part_).gather_rows(exec, rows, binarize_, {5, 8, Purpose::kBinarize}, x);
    const View<const float, 2> input = encoder_input<CpuExec, float>(exec, vae_, x, work.input);
    forward(exec, vae_.encoder(), {parameters}, vae_.table(), input, work.encoder);
    const View<float, 2> posterior = work.encoder.result(vae_.encoder(), B);
    const LatentDrawOf<float> draw{.posterior = posterior,
                                   .pseudo = {},
                                   .parameters = parameters,
                                   .noise = {5, 8, Purpose::kLatent},
                                   .datum = rows,
                                   .samples = kSamples,
                                   .z = work.z.matrix(R, kLatent),
                                   .kl = work.kl.vector(B),
                                   .clamped = work.clamped_posterior.vector(B),
                                   .log_pz = work.log_pz.vector(R),
                                   .log_qz_given_x = work.log_qz_given_x.vector(R),
                                   .want_logs = true};
    const View<const float, 2> code = draw_latent(exec, vae_, draw, latent);
    forward(exec, vae_.decoder(), {parameters}, vae_.table(), code, work.decoder);
    const View<float, 2> output = work.decoder.result(vae_.decoder(), R);
    keep("x", work.x.data(), B * kDimensions);
    keep("posterior", posterior.row(0), B * posterior.cols);
    keep("z", work.z.data(), R * kLatent);
    keep("kl", work.kl.data(), B);
    keep("log p(z)", work.log_pz.data(), R);
    keep("log q(z|x)", work.log_qz_given_x.data(), R);
    keep("decoder's output", output.row(0), R * output.cols);

    likelihood(exec, vae_.config().likelihood,
               LikelihoodArgs{.x = x,
                              .samples = kSamples,
                              .output = output,
                              .own = vae_.own(View<const float, 1>(parameters)),
                              .grad_scale = -1.0f / (kRows * kSamples),
                              .log_px_given_z = work.log_px_given_z.vector(R),
                              .grad_own = vae_.own(gradients.view()),
                              .scratch = work.scratch.view(),
                              .clamped = work.clamped_likelihood.vector(R)});
    keep("log p(x|z)", work.log_px_given_z.data(), R);
    keep("gradient by the decoder's output", output.row(0), R * output.cols);
    backward(exec, vae_.decoder(), {parameters}, vae_.table(), code, work.decoder, output, gradients.view(),
             work.grad_z.matrix(R, kLatent));
    keep("gradient by z", work.grad_z.data(), R * kLatent);
    const View<float, 2> grad_posterior = work.grad_posterior.matrix(B, posterior.cols);
    draw_latent_backward(
        exec, vae_, draw,
        LatentGradOf<float>{.grad_z = work.grad_z.matrix(R, kLatent),
                            .gradient = has_closed_kl(vae_.config()) ? PosteriorGradient::kAnalyticKl
                                                                     : PosteriorGradient::kMonteCarlo,
                            .kl_scale = 1.0f / kRows,
                            .weight = {},
                            .kl_weight = {},
                            .grad_posterior = grad_posterior,
                            .grad_pseudo = {},
                            .gradients = gradients.view()},
        latent);
    keep("gradient by the posterior", work.grad_posterior.data(), B * posterior.cols);
    backward(exec, vae_.encoder(), {parameters}, vae_.table(), input, work.encoder, grad_posterior,
             gradients.view(), grad_x.matrix(B, kDimensions));
    keep("gradient by x", grad_x.data(), B * kDimensions);
    return seen;
  }

 private:
  DataPart part_;
  Vae vae_;
  std::vector<float> parameters_;
  Binarize binarize_;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Each product adds some dozens of terms; a gradient has been through up to four of them.
bool agree(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = 0.0f, difference = 0.0f;
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i]));
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  return difference <= 64 * std::numeric_limits<float>::epsilon() * largest;
}

// Products go through tiles of up to 128 rows, noise through tiles of 16: parts begin and end within them.
TEST(BatchSplit, EachDatumIsThatOfTheWholeBatch) {
  std::vector<std::uint32_t> order(kRows);
  for (std::uint32_t i = 0; i < kRows; ++i) order[i] = i * 7 % kRows;  // 7 and 300 have no common divisor
  int gradients = 0, equal = 0;
  for (const Case& c : cases()) {
    Model model(c);
    const Arrays whole = model.pass(order, 0, kRows, 1);
    ASSERT_EQ(whole.size(), 12u);
    for (const std::int64_t cut : {1, 15, 16, 128, 129, 150, 299}) {
      const int threads = cut % 2 == 0 ? 2 : 1;
      Arrays parts = model.pass(order, 0, cut, threads);
      for (const auto& [name, values] : model.pass(order, cut, kRows, threads))
        parts[name].insert(parts[name].end(), values.begin(), values.end());
      for (const auto& [name, values] : whole) {
        const bool same = same_bits(values, parts[name]);
        if (name.starts_with("gradient by ") && name != "gradient by the decoder's output") {
          ++gradients, equal += same;
          EXPECT_TRUE(agree(values, parts[name])) << c.name << ", cut at " << cut << ": " << name;
        } else {
          EXPECT_TRUE(same) << c.name << ", cut at " << cut << ": " << name;
        }
      }
    }
  }
  std::printf("gradients of z, the posterior and x: %d arrays, %d of them bit for bit\n", gradients, equal);
}

// What is compared does depend on the datum, on the noise and on every part of the model.
TEST(BatchSplit, AnotherOrderHasOtherBits) {
  std::vector<std::uint32_t> order(kRows);
  std::iota(order.begin(), order.end(), 0u);
  for (const Case& c : cases()) {
    Model model(c);
    const Arrays whole = model.pass(order, 0, 20, 1);
    std::swap(order[3], order[11]);
    for (const auto& [name, values] : model.pass(order, 0, 20, 1))
      EXPECT_FALSE(same_bits(values, whole.at(name))) << c.name << ": " << name;
    std::swap(order[3], order[11]);
  }
}

}  // namespace
}  // namespace felbo
