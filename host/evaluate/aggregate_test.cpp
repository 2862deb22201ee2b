#include "host/evaluate/aggregate.h"

#include <gtest/gtest.h>

#include "host/model/latent_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

constexpr std::int64_t Z = 3;

VaeConfig config_of(PriorFamily prior) {
  return {.dimensions = 2, .latent = Z, .prior = {.family = prior, .components = 4}};
}

/// N codes: means of the given spread, log-variances about `log_var`.
Encoded codes(std::int64_t N, float spread, float log_var) {
  Encoded out{.count = N};
  out.mu.resize(static_cast<std::size_t>(N * Z));
  out.log_var.resize(out.mu.size());
  test::fill_normal({out.mu.data(), N, Z}, 5, spread);
  test::fill_normal({out.log_var.data(), N, Z}, 6, spread == 0.0f ? 0.0f : 0.3f, log_var);
  for (std::int64_t n = 0; n < N; ++n) {
    for (const std::vector<float>* part : {&out.mu, &out.log_var})
      out.posterior.insert(out.posterior.end(), part->begin() + n * Z, part->begin() + (n + 1) * Z);
  }
  return out;
}

struct Model {
  explicit Model(PriorFamily prior)
      : vae(config_of(prior)), flat(static_cast<std::size_t>(vae.table().size())) {
    std::uint64_t seed = 1;
    for (const ParameterEntry& entry : vae.table().entries())
      test::fill_normal(matrix_of(View<float, 1>{flat.data(), vae.table().size()}, entry), ++seed, 0.5f);
  }
  AggregateKl measure(const Encoded& encoded) const {
    const test::ExecHandle exec = test::open_exec(2);
    const Buffer<test::ExecType, float> parameters(exec, vae.table().size());
    upload(exec, flat, parameters.view());
    return aggregate_kl<test::ExecType>(exec, vae, parameters.view(), encoded, 9);
  }
  Vae vae;
  std::vector<float> flat;
};

// Against the densities in double, on the very draws.
TEST(Aggregate, IsThatOfTheDefinitions) {
  for (const PriorFamily prior : {PriorFamily::kStandardNormal, PriorFamily::kDiagonalGaussian,
                                  PriorFamily::kUniform, PriorFamily::kMixture}) {
    SCOPED_TRACE(int(prior));
    const Model model(prior);
    const Encoded encoded = codes(40, 1.0f, -1.0f);
    const AggregateKl got = model.measure(encoded);
    const std::vector<float> z = draw_posterior(test::open_exec(1), model.vae, encoded, 9);
    const reference::Mixture<double> all{{encoded.mu.begin(), encoded.mu.end()},
                                         {encoded.log_var.begin(), encoded.log_var.end()},
                                         {},
                                         40,
                                         Z,
                                         -20,
                                         20};
    const reference::Mixture<double> p = reference::LatentReference(model.vae, {}, {}, 0)
                                             .prior_of({{}, {}, {model.flat.begin(), model.flat.end()}});
    double information = 0, marginal = 0;
    for (std::size_t n = 0; n < 40; ++n) {
      const std::vector<double> at(z.begin() + std::int64_t(n) * Z, z.begin() + std::int64_t(n + 1) * Z);
      const double log_q = reference::mixture_log_density(all, at.data());
      // Of the components' log-densities, each of which holds log 1/40.
      const double own = reference::component_log_densities(all, at.data())[n] + std::log(40.0);
      information += (own - log_q) / 40;
      marginal += (log_q - reference::mixture_log_density(p, at.data())) / 40;
    }
    EXPECT_NEAR(got.mutual_information.mean, information, 1e-4);
    EXPECT_NEAR(got.marginal_kl.mean, marginal, 1e-4);
    EXPECT_EQ(got.count, 40);
  }
}

// Codes that are all the same tell nothing of the datum; codes that lie far apart tell which of N it is.
TEST(Aggregate, LimitsAreNoughtAndLogN) {
  const Model model(PriorFamily::kStandardNormal);
  EXPECT_NEAR(model.measure(codes(64, 0.0f, 0.0f)).mutual_information.mean, 0.0, 1e-5);
  EXPECT_NEAR(model.measure(codes(64, 50.0f, -6.0f)).mutual_information.mean, std::log(64.0), 1e-4);
}

TEST(Aggregate, RefusesCoupledDimensions) {
  VaeConfig config = config_of(PriorFamily::kStandardNormal);
  config.posterior.family = PosteriorFamily::kFullCovarianceGaussian;
  const Vae vae(config);
  EXPECT_THROW(aggregate_kl(CpuExec(1), vae, {}, codes(2, 1.0f, 0.0f), 1), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
