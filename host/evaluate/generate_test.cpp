#include "host/evaluate/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "kernels/dense/dense_reference.h"
#include "kernels/gather/gather_reference.h"
#include "kernels/noise/noise_reference.h"
#include "kernels/reparameterize/reparameterize.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::kEps;
using test::Parity;
using Values = std::vector<double>;

constexpr int X = 9, Z = 5, kRows = 521;  // more than twice what is decoded at once
constexpr LogVarClamp kClamp{-0.4f, 0.3f};

/// A linear model with random parameters and grey data.
struct Model {
  explicit Model(const std::string& likelihood = "bernoulli", const std::string& variance = "learned")
      : vae({.dimensions = X,
             .latent = Z,
             .likelihood = likelihood_from_names(likelihood, variance, {}),
             .clamp = kClamp}),
        flat(static_cast<std::size_t>(vae.table().size())) {
    std::uint64_t seed = 3;
    for (const ParameterEntry& entry : vae.table().entries())
      test::fill_normal(matrix_of(View<float, 1>(flat.data(), vae.table().size()), entry), ++seed, 0.5f);
    part.rows = kRows;
    part.cols = X;
    for (int i = 0; i < kRows * X; ++i) part.bytes.push_back(static_cast<std::uint8_t>(i * 37 % 256));
  }
  View<const float, 1> view() const { return {flat.data(), vae.table().size()}; }
  Values tensor(const std::string& name) const {
    for (const ParameterEntry& entry : vae.table().entries()) {
      if (entry.name != name) continue;
      const View<const float, 1> values = vector_of(view(), entry);
      return {values.begin(), values.end()};
    }
    throw std::runtime_error(name);
  }
  reference::Affine<double> layer(const std::string& name, const Values& x, int rows, int in, int out) const {
    return reference::affine<double>(x, tensor(name + ".0.weight"), tensor(name + ".0.bias"), rows, in, out);
  }
  Encoded encoded(std::int64_t count, Binarize binarize = Binarize::kNone, int threads = 2) const {
    const test::ExecHandle exec = test::open_exec(threads);
    return encode(exec, vae, view(), ResidentData<test::ExecType>(exec, part), count, binarize, 77, true);
  }

  Vae vae;
  test::Array<float> flat;
  DataPart part;
};

View<const float, 2> matrix(const std::vector<float>& values, std::int64_t cols) {
  return {values.data(), static_cast<std::int64_t>(values.size()) / cols, cols};
}

// Sums of up to ten products, and a sigmoid: 12 roundings of the sum of magnitudes, as in dense_test.cpp.
Values tolerance_of(const Values& magnitude) {
  Values out;
  for (const double m : magnitude) out.push_back(12 * kEps * (m + 1));
  return out;
}

TEST(Decode, GivesTheMeanOfEveryRow) {
  for (const auto& [likelihood, variance] :
       {std::pair{"bernoulli", "learned"}, {"gaussian", "learned"}, {"gaussian", "per-element"}}) {
    const Model model(likelihood, variance);
    const bool bernoulli = std::string(likelihood) == "bernoulli";
    const int out = X * model.vae.config().likelihood.outputs();
    for (const int rows : {1, 255, 256, 257, 513}) {
      std::vector<float> z(std::size_t(rows) * Z);
      test::fill_normal({z.data(), rows, Z}, 9);
      const auto output = model.layer("decoder", {z.begin(), z.end()}, rows, Z, out);
      Values want, magnitude;
      for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < X; ++j) {
          const std::size_t at = std::size_t(i) * out + j;
          want.push_back(bernoulli ? 1 / (1 + std::exp(-output.value[at])) : output.value[at]);
          magnitude.push_back(output.magnitude[at]);
        }
      }
      const std::vector<float> got = decode(test::open_exec(2), model.vae, model.view(), z);
      Parity parity;
      parity.compare(variance, matrix(got, X), want, tolerance_of(magnitude));
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(DrawData, IsTheMeanAndTheNoiseOfItsRow) {
  const Model model("gaussian", "learned");
  const double sigma = std::exp(model.tensor("likelihood.log_var")[0] / 2);
  for (const int rows : {1, 257, 513}) {
    std::vector<float> z(std::size_t(rows) * Z);
    test::fill_normal({z.data(), rows, Z}, 9);
    const test::ExecHandle exec = test::open_exec(2);
    const std::vector<float> x = draw_data(exec, model.vae, model.view(), z, 31);
    const std::vector<float> mean = decode(exec, model.vae, model.view(), z);
    const std::vector<float> zeros(x.size());
    const std::vector<float> noise = draw_observations(likelihood_from_names("gaussian", "unit", {}),
                                                       matrix(zeros, X), {}, {31, 0, Purpose::kObservation});
    Values want, tolerance;
    for (std::size_t i = 0; i < noise.size(); ++i) {
      want.push_back(double{mean[i]} + sigma * double{noise[i]});
      // x and the noise are rounded once each.
      tolerance.push_back(2 * kEps * (std::abs(double{mean[i]}) + sigma * std::abs(double{noise[i]})));
    }
    Parity parity;
    parity.compare("x", matrix(x, X), want, tolerance);
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(DrawPrior, EachDrawIsAFunctionOfSeedAndIndex) {
  const Model model;
  const std::vector<float> many = draw_prior(test::open_exec(3), model.vae, model.view(), 300, 5);
  const std::vector<float> few = draw_prior(test::open_exec(1), model.vae, model.view(), 7, 5);
  ASSERT_EQ(many.size(), 300u * Z);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
  EXPECT_NE(few, draw_prior(test::open_exec(1), model.vae, model.view(), 7, 6));
  Parity parity;
  for (std::uint32_t i = 0; i < 300; ++i) {
    for (std::uint32_t d = 0; d < Z; ++d) {
      parity.element("z", i, d, many[i * Z + d],
                     reference::normal(5, 0, static_cast<std::uint32_t>(Purpose::kPrior), i, 0, d), 3e-6);
    }
  }
  FELBO_EXPECT_PARITY(parity);
}

/// mu and log_var as the encoder's layer gives them for the x that `encoded` holds.
void expect_posterior(const Model& model, const Encoded& encoded) {
  const int rows = static_cast<int>(encoded.count);
  const auto want = model.layer("encoder", {encoded.x.begin(), encoded.x.end()}, rows, X, 2 * Z);
  Parity parity;
  for (int i = 0; i < rows; ++i) {
    for (int d = 0; d < Z; ++d) {
      const std::size_t at = std::size_t(i) * 2 * Z + d;
      parity.element("mu", i, d, encoded.mu[std::size_t(i) * Z + d], want.value[at],
                     12 * kEps * want.magnitude[at]);
      parity.element("log_var", i, d, encoded.log_var[std::size_t(i) * Z + d],
                     std::clamp<double>(want.value[at + Z], kClamp.lo, kClamp.hi),
                     12 * kEps * want.magnitude[at + Z]);
    }
  }
  FELBO_EXPECT_PARITY(parity);
}

TEST(Encode, GivesThePosteriorOfEveryRow) {
  const Model model;
  for (const std::int64_t count : {1, 255, 256, 257, kRows}) {
    const Encoded encoded = model.encoded(count);
    ASSERT_EQ(encoded.count, count);
    ASSERT_EQ(encoded.x.size(), std::size_t(count) * X);
    for (std::size_t i = 0; i < encoded.x.size(); ++i) EXPECT_EQ(encoded.x[i], model.part.bytes[i] / 255.0f);
    expect_posterior(model, encoded);
  }
  const Encoded one = model.encoded(kRows, Binarize::kDynamic, 1),
                three = model.encoded(kRows, Binarize::kDynamic, 3);
  EXPECT_EQ(one.mu, three.mu);
  EXPECT_EQ(one.log_var, three.log_var);
}

TEST(Encode, SeesTheHeldOutBinarisation) {
  const Model model;
  const Encoded encoded = model.encoded(300, Binarize::kDynamic);
  const NoiseStream noise{77, 0, Purpose::kHeldOutBinarize};
  for (std::uint32_t i = 0; i < 300; ++i) {
    for (std::uint32_t j = 0; j < X; ++j) {
      ASSERT_EQ(encoded.x[i * X + j], reference::gather_pixel<double>(model.part.bytes[i * X + j], 255.0f,
                                                                      Binarize::kDynamic, noise, i, j));
    }
  }
  expect_posterior(model, encoded);
}

TEST(Encode, XIsKeptOnlyWhenAskedFor) {
  const Model model;
  const test::ExecHandle exec = test::open_exec(1);
  const ResidentData<test::ExecType> data(exec, model.part);
  const Encoded encoded = encode(exec, model.vae, model.view(), data, 3, Binarize::kNone, 1, false);
  EXPECT_TRUE(encoded.x.empty());
  EXPECT_EQ(encoded.mu.size(), 3u * Z);
}

TEST(Encode, RefusesCountsAndDataThatDoNotFit) {
  const Model model;
  const auto message = [&](std::int64_t count) -> std::string {
    try {
      model.encoded(count);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(message(0), "count must be between 1 and the 521 rows there are, got 0");
  EXPECT_EQ(message(kRows + 1), "count must be between 1 and the 521 rows there are, got 522");
  Model narrow;
  narrow.part.cols = 3;
  EXPECT_THROW(narrow.encoded(1), std::invalid_argument);
}

TEST(DrawPosterior, IsTheReparameterisedSample) {
  const Model model;
  const Encoded encoded = model.encoded(300);
  const std::vector<float> z = draw_posterior(test::open_exec(2), model.vae, encoded, 8);
  ASSERT_EQ(z.size(), encoded.mu.size());
  Parity parity;
  for (std::uint32_t i = 0; i < 300; ++i) {
    for (std::uint32_t d = 0; d < Z; ++d) {
      const std::size_t at = i * Z + d;
      const double eps =
          reference::normal(8, 0, static_cast<std::uint32_t>(Purpose::kHeldOutLatent), i, 0, d);
      const double sigma = std::exp(encoded.log_var[at] / 2.0);
      // As for the op's z: 3e-6 of the noise itself and a few roundings.
      parity.element(
          "z", i, d, z[at], encoded.mu[at] + sigma * eps,
          sigma * 3e-6 + 4 * kEps * (std::abs(double(encoded.mu[at])) + sigma * (std::abs(eps) + 1)));
    }
  }
  FELBO_EXPECT_PARITY(parity);
}

/// evaluate() takes its samples by the op, several of a datum at once and as many data as it likes.
TEST(DrawPosterior, IsBitForBitTheFirstSampleOfAnEvaluation) {
  const Model model;
  const Encoded encoded = model.encoded(300);
  const std::vector<float> z = draw_posterior(test::open_exec(2), model.vae, encoded, 8);
  constexpr int kSamples = 3, kStep = 37;
  for (std::int64_t first = 0; first < 300; first += kStep) {
    const std::int64_t B = std::min<std::int64_t>(kStep, 300 - first);
    test::Array<std::uint32_t> datum;
    for (std::int64_t b = 0; b < B; ++b) datum.push_back(static_cast<std::uint32_t>(first + b));
    const auto part = [&](const std::vector<float>& whole) {
      return test::Array<float>(whole.begin() + first * Z, whole.begin() + (first + B) * Z);
    };
    const test::Array<float> mu = part(encoded.mu), log_var = part(encoded.log_var);
    test::Array<float> drawn(static_cast<std::size_t>(B * kSamples * Z)), kl(kStep);
    test::Array<std::int32_t> clamped(kStep);
    reparameterize(test::exec(1), {.mu = {mu.data(), B, Z},
                                   .log_var = {log_var.data(), B, Z},
                                   .clamp = kClamp,
                                   .noise = {8, 0, Purpose::kHeldOutLatent},
                                   .datum = {datum.data(), B},
                                   .samples = kSamples,
                                   .z = {drawn.data(), B * kSamples, Z},
                                   .kl = {kl.data(), B},
                                   .clamped = {clamped.data(), B},
                                   .log_pz = {},
                                   .log_qz_given_x = {}});
    for (std::int64_t b = 0; b < B; ++b) {
      for (std::int64_t d = 0; d < Z; ++d) {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(z[static_cast<std::size_t>((first + b) * Z + d)]),
                  std::bit_cast<std::uint32_t>(drawn[static_cast<std::size_t>(b * kSamples * Z + d)]))
            << "datum " << first + b << " dimension " << d;
      }
    }
  }
}

}  // namespace
}  // namespace felbo
