// What `felbo bench kernels` compares under fusion/ is the same work: separate kernels give the fused ops'
// numbers. The fused ops are judged against their references elsewhere.
#include "benchmarks/fusion.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "tests/harness/parity.h"

namespace felbo::bench {
namespace {

using test::kEps;
using test::Parity;

struct Shape {
  std::int64_t batch, dimensions, latent;
};
constexpr Shape kShapes[] = {{1, 1, 1},     {3, 33, 5},    {32, 127, 20},
                             {33, 129, 31}, {2, 785, 257}, {5, 784, 64}};

/// Some log-variances beyond their bounds, some logits saturated.
FusionInputs inputs(UnfusedLikelihood which, const Shape& s) {
  const auto values = [](std::int64_t count, double frequency, double scale) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) {
      const double wave = std::sin(frequency * static_cast<double>(i) + 0.3);
      values.push_back(static_cast<float>(scale * wave * (i % 11 == 5 ? 12.0 : 1.0)));
    }
    return values;
  };
  FusionInputs in{which,
                  s.batch,
                  s.dimensions,
                  s.latent,
                  values(s.batch * s.dimensions, 1.7, 2.0),
                  values(s.batch * s.dimensions, 0.9, 4.0),
                  values(2 * s.batch * s.latent, 1.3, 2.0),
                  values(s.batch * s.latent, 2.1, 0.5)};
  if (which == UnfusedLikelihood::kBernoulli) {
    for (float& x : in.x) x = x > 0.0f ? 1.0f : 0.0f;
  }
  return in;
}

/// What a run of a Fusion leaves.
struct Result {
  std::vector<float> z, log_px, kl, elbo, gradient, output;
};
template <class Run>
Result result_of(const FusionInputs& in, const Run& run) {
  const test::ExecHandle exec = test::open_exec(2);
  const Fusion<test::ExecType> loss(exec, in);
  run(loss);
  const auto host = [&](View<float, 2> m) {
    return to_host(exec, View<const float, 1>{m.data, m.rows * m.cols});
  };
  return {host(loss.z()),           to_host(exec, loss.log_px_given_z()),
          to_host(exec, loss.kl()), to_host(exec, loss.elbo_of_datum()),
          host(loss.gradient()),    host(loss.output())};
}

void compare(Parity& parity, const std::string& what, const std::vector<float>& got,
             const std::vector<float>& want, const std::function<double(std::size_t)>& tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    parity.element(what, 0, static_cast<std::int64_t>(i), static_cast<double>(got[i]),
                   static_cast<double>(want[i]), tolerance(i));
}

// Sums of a row's terms differ in their order alone: each is within 68 eps of the terms' magnitudes (lanes.h;
// a GPU's threads add four floats, then in double), and is stored once.
constexpr double kSum = 2 * 68 + 2;

double kl_magnitude(const FusionInputs& in, std::size_t b) {
  double sum = 0.0;
  const auto Z = static_cast<std::size_t>(in.latent);
  for (std::size_t d = 0; d < Z; ++d) {
    const double mu = in.posterior[b * 2 * Z + d],
                 log_var = std::clamp<double>(in.posterior[(b * 2 + 1) * Z + d], -20, 20);
    sum += 0.5 * (mu * mu + std::exp(log_var) + std::abs(log_var) + 1.0);
  }
  return sum;
}
double log_px_magnitude(const FusionInputs& in, std::size_t b) {
  double sum = 0.0;
  const auto X = static_cast<std::size_t>(in.dimensions);
  for (std::size_t j = b * X; j < (b + 1) * X; ++j) {
    const double x = in.x[j], out = in.output[j];
    sum +=
        in.which == UnfusedLikelihood::kBernoulli ? std::abs(out) + 1.0 : 0.5 * (x - out) * (x - out) + 1.0;
  }
  return sum;
}

void compare_values(Parity& parity, const FusionInputs& in, const Result& got, const Result& want) {
  const auto kl = [&](std::size_t b) { return kSum * kEps * kl_magnitude(in, b); };
  const auto log_px = [&](std::size_t b) { return kSum * kEps * log_px_magnitude(in, b); };
  compare(parity, "kl", got.kl, want.kl, kl);
  compare(parity, "log_px_given_z", got.log_px, want.log_px, log_px);
  compare(parity, "elbo", got.elbo, want.elbo, [&](std::size_t b) { return kl(b) + log_px(b); });
  // One element's mathematics, in the same order of operations.
  compare(parity, "gradient by the output", got.output, want.output, [](std::size_t) { return 0.0; });
}

class FusionTest : public ::testing::TestWithParam<UnfusedLikelihood> {};

TEST_P(FusionTest, SeparateKernelsGiveTheNumbersOfTheStep) {
  Parity parity;
  for (const Shape& shape : kShapes) {
    parity.begin_case("Z " + std::to_string(shape.latent));
    const FusionInputs in = inputs(GetParam(), shape);
    const Result want = result_of(in, [](const auto& loss) { loss.fused_step(); });
    const Result got = result_of(in, [](const auto& loss) { loss.unfused_step(); });
    compare_values(parity, in, got, want);
    compare(parity, "z", got.z, want.z, [](std::size_t) { return 0.0; });
    // By log_var: (grad_z eps) sigma and the KL's share are joined by one fused multiply-add in one, by two
    // products and a sum in the other: two roundings of the result at most there and three here. |grad_z eps|
    // is below 7 |grad_z|.
    const auto Z = static_cast<std::size_t>(shape.latent);
    compare(parity, "gradient by mu, log_var", got.gradient, want.gradient, [&](std::size_t i) {
      const std::size_t b = i / (2 * Z), d = i % (2 * Z);
      const double grad_z = std::abs(static_cast<double>(in.grad_z[b * Z + d % Z]));
      if (d < Z) return kEps * (grad_z + std::abs(static_cast<double>(in.posterior[i])));
      const double log_var = std::clamp<double>(in.posterior[i], -20, 20);
      return 5 * kEps * 0.5 * (7 * grad_z * std::exp(0.5 * log_var) + std::exp(log_var) + 1.0);
    });
  }
  FELBO_EXPECT_PARITY(parity);
}

TEST_P(FusionTest, SeparateKernelsGiveTheNumbersOfElboLoss) {
  Parity parity;
  for (const Shape& shape : kShapes) {
    parity.begin_case("Z " + std::to_string(shape.latent));
    const FusionInputs in = inputs(GetParam(), shape);
    const Result want = result_of(in, [](const auto& loss) { loss.fused_loss(); });
    const Result got = result_of(in, [](const auto& loss) { loss.unfused_loss(); });
    compare_values(parity, in, got, want);
    compare(parity, "gradient by mu, log_var", got.gradient, want.gradient, [](std::size_t) { return 0.0; });
  }
  FELBO_EXPECT_PARITY(parity);
}

INSTANTIATE_TEST_SUITE_P(Families, FusionTest,
                         ::testing::Values(UnfusedLikelihood::kBernoulli, UnfusedLikelihood::kGaussianUnit),
                         [](const auto& info) {
                           return info.param == UnfusedLikelihood::kBernoulli ? "Bernoulli" : "GaussianUnit";
                         });

}  // namespace
}  // namespace felbo::bench
