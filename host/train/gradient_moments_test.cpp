#include "host/train/gradient_moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/harness/parity.h"

namespace felbo {
namespace {

constexpr std::int64_t kDimensions = 12, kLatent = 2, kDraws = 6000;
constexpr int kSamples = 5;

/// A small model on four data.
class Fixture {
 public:
  explicit Fixture(float posterior_scale = 1.0f)
      : vae_({.dimensions = kDimensions, .latent = kLatent, .hidden = {5}, .activation = Activation::kTanh}) {
    part_.rows = 4;
    part_.cols = kDimensions;
    for (int i = 0; i < 4 * kDimensions; ++i) part_.bytes.push_back(i * 7 % 5 < 2 ? 255 : 0);
    parameters_.resize(static_cast<std::size_t>(vae_.table().size()));
    std::uint64_t seed = 100;
    for (const ParameterEntry& entry : vae_.table().entries()) {
      const float scale = entry.shape.size() == 2 ? 1.0f / std::sqrt(float(entry.shape[0])) : 0.4f;
      test::fill_normal(matrix_of(View<float, 1>{parameters_.data(), vae_.table().size()}, entry), ++seed,
                        scale * posterior_scale);
    }
  }

  GradientMoments moments(TrainingObjective objective, int samples, std::uint64_t seed,
                          std::int64_t draws = kDraws) const {
    const test::ExecHandle exec = test::open_exec(1);
    const ResidentData<test::ExecType> data(exec, part_);
    ModelState<test::ExecType> state(exec, vae_);
    upload(exec, parameters_, state.parameters.view());
    return gradient_moments<test::ExecType>(exec, vae_, data, state,
                                            {.samples = samples, .objective = objective, .seed = seed}, 1.0,
                                            {0, 1, 2, 3}, draws);
  }
  bool is_encoder(std::size_t i) const {
    for (const ParameterEntry& entry : vae_.table().entries()) {
      const auto at = static_cast<std::int64_t>(i);
      if (at >= entry.offset && at < entry.offset + entry.size) return entry.name.starts_with("encoder");
    }
    return false;
  }

 private:
  Vae vae_;
  DataPart part_{.rows = 0, .cols = 0, .shape = {}, .bytes = {}, .floats = {}, .exact_log_px = {}};
  std::vector<float> parameters_;
};

/// The largest |z| of the differences of the means, each a standard normal if the expectations are equal.
double largest_z(const GradientMoments& a, const GradientMoments& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.mean.size(); ++i) {
    const double variance = a.variance[i] / double(a.draws) + b.variance[i] / double(b.draws);
    if (variance == 0) continue;  // padding
    largest = std::max(largest, std::abs(a.mean[i] - b.mean[i]) / std::sqrt(variance));
  }
  return largest;
}

// 151 parameters: by the union bound one of the |z| lies beyond 5.5 with probability below 151 * 3.8e-8 =
// 6e-6, for each of the comparisons below.
constexpr double kMostZ = 5.5;

TEST(GradientMoments, EstimatesOfTheElboAgree) {
  const Fixture model;
  const GradientMoments elbo = model.moments(TrainingObjective::kElbo, kSamples, 1);
  EXPECT_LT(largest_z(elbo, model.moments(TrainingObjective::kElboMc, kSamples, 2)), kMostZ);
  EXPECT_LT(largest_z(elbo, model.moments(TrainingObjective::kStl, kSamples, 3)), kMostZ);
}

TEST(GradientMoments, EstimatesOfTheImportanceWeightedBoundAgree) {
  const Fixture model;
  EXPECT_LT(largest_z(model.moments(TrainingObjective::kIwae, kSamples, 1),
                      model.moments(TrainingObjective::kDreg, kSamples, 2)),
            kMostZ);
}

// The test has power: another objective, or the same with another number of samples, is told apart.
TEST(GradientMoments, DifferentBoundsAreToldApart) {
  const Fixture model;
  const GradientMoments iwae = model.moments(TrainingObjective::kIwae, kSamples, 1);
  EXPECT_GT(largest_z(iwae, model.moments(TrainingObjective::kElboMc, kSamples, 2)), 2 * kMostZ);
  EXPECT_GT(largest_z(iwae, model.moments(TrainingObjective::kDreg, 1, 2)), 2 * kMostZ);
}

// What the estimates are for: the encoder's gradient scatters less.
TEST(GradientMoments, GradientsThroughZScatterLess) {
  const Fixture model;
  const auto encoder_variance = [&](TrainingObjective objective) {
    const GradientMoments moments = model.moments(objective, kSamples, 4, 2000);
    double sum = 0;
    for (std::size_t i = 0; i < moments.variance.size(); ++i)
      sum += model.is_encoder(i) ? moments.variance[i] : 0;
    return sum;
  };
  EXPECT_LT(encoder_variance(TrainingObjective::kDreg), encoder_variance(TrainingObjective::kIwae));
}

TEST(GradientMoments, MeanAndVarianceOfTheDraws) {
  const Fixture model;
  const GradientMoments two = model.moments(TrainingObjective::kElbo, 1, 1, 2);
  const GradientMoments one = model.moments(TrainingObjective::kElbo, 1, 1, 3);
  ASSERT_EQ(two.draws, 2);
  // Two draws a, b: the third joins their mean as (a + b + c) / 3.
  for (std::size_t i = 0; i < two.mean.size(); ++i) {
    const double third = 3 * one.mean[i] - 2 * two.mean[i];
    const double sum = 2 * two.variance[i] / 2 + 2.0 / 3.0 * (third - two.mean[i]) * (third - two.mean[i]);
    EXPECT_NEAR(one.variance[i], sum / 2, 1e-12 + 1e-9 * sum);
  }
  EXPECT_THROW(model.moments(TrainingObjective::kElbo, 1, 1, 1), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
