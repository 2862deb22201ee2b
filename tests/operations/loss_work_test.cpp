// What likelihood, elbo_loss and step_guard declare, against the sources of their CPU loops: every family
// with every variance.
#include "kernels/step_guard/step_guard_work.h"
#include "tests/operations/counted.h"
#include "tests/operations/declared.h"
// The order of what follows matters.
// clang-format off
#include "tests/operations/counting_on.h"
#include "kernels/elbo_loss/elbo_loss_cpu.cpp"
#include "kernels/likelihood/categorical_cpu.cpp"
#include "kernels/likelihood/continuous_bernoulli_cpu.cpp"
#include "kernels/likelihood/discretized_logistic_cpu.cpp"
#include "kernels/likelihood/laplace_cpu.cpp"
#include "kernels/likelihood/likelihood_cpu.cpp"
#include "kernels/likelihood/multinomial_cpu.cpp"
#include "kernels/likelihood/negative_binomial_cpu.cpp"
#include "kernels/likelihood/poisson_cpu.cpp"
#include "kernels/likelihood/student_t_cpu.cpp"
#include "kernels/likelihood/zero_inflated_negative_binomial_cpu.cpp"
#include "kernels/step_guard/step_guard_cpu.cpp"
#include "tests/operations/counting_off.h"
// clang-format on

namespace {
/// The family under test.
felbo::test::LossFamily current;
}  // namespace

// What the names' source would give, whose numbers are read from text.
namespace felbo_counted {
bool Likelihood::has_variance() const { return current.has_variance; }
int Likelihood::outputs() const { return current.outputs; }
std::int64_t Likelihood::own_parameters(std::int64_t dimensions) const {
  return current.own_per_dimension ? dimensions : current.own;
}
void Likelihood::check() const {}
std::int64_t likelihood_scratch(const Likelihood&, std::int64_t rows, std::int64_t dimensions) {
  return (rows + 8) * dimensions;
}
}  // namespace felbo_counted

namespace {

using counting::Array, counting::expect_declared, counting::tally;
using felbo::CpuExec, felbo::View;
using std::int64_t;

felbo_counted::Likelihood likelihood_under_test() {
  felbo_counted::Likelihood which;
  which.family = static_cast<felbo_counted::LikelihoodFamily>(current.family);
  which.variance = static_cast<felbo_counted::VarianceKind>(current.variance);
  which.fixed_variance = 2;
  which.fixed_variance.node = counting::add_node({});  // so that what is made of it counts
  which.categories = current.categories;
  return which;
}

class LossWork : public testing::TestWithParam<felbo::test::LossFamily> {
 protected:
  void SetUp() override { current = GetParam(); }
};

/// A call of likelihood() on R rows of x.
counting::Tally count_likelihood(const felbo_counted::XView& x, bool gradient) {
  const int64_t R = x.rows, X = x.cols, own_size = likelihood_under_test().own_parameters(X),
                wide = X * current.outputs;
  Array output(R * wide), own(own_size), log_px(R), grad_own(own_size), scratch((R + 8) * X);
  std::vector<std::int32_t> clamped(static_cast<std::size_t>(R));
  likelihood(CpuExec(1), likelihood_under_test(),
             felbo_counted::LikelihoodArgs{.x = x,
                                           .output = output.matrix(R, wide),
                                           .own = own.view(),
                                           .want_gradient = gradient,
                                           .log_px_given_z = log_px.view(),
                                           .grad_own = grad_own.view(),
                                           .scratch = scratch.view(),
                                           .clamped = {clamped.data(), R}});
  return tally({&output, &log_px, &grad_own});
}

TEST_P(LossWork, Likelihood) {
  for (const bool gradient : {true, false}) {
    expect_declared(
        current.name + (gradient ? "" : " without gradient"),
        [&](int64_t R, int64_t X) {
          Array x(R * X, 1);
          return count_likelihood(x.matrix(R, X), gradient);
        },
        [&](int64_t R, int64_t X) {
          return felbo::test::declared_likelihood(current, R, X, gradient, 4) +
                 felbo::work_of(R * X, 0.0, current.again(gradient));
        });
  }
}

// Bytes are no numbers that count: a byte an element is what the declaration has beside all other arrays. A
// multinomial divides each again for its second pass.
TEST_P(LossWork, LikelihoodOfBytes) {
  const double divided_again = current.family_name == "multinomial" ? 1.0 : 0.0;
  for (const bool gradient : {true, false}) {
    expect_declared(
        current.name + (gradient ? "" : " without gradient"),
        [&](int64_t R, int64_t X) {
          std::vector<std::uint8_t> x(static_cast<std::size_t>(R * X), 1);
          counting::Number divisor = 1;
          divisor.node = counting::add_node({});  // so that what is made of it counts
          return count_likelihood({View<const std::uint8_t, 2>(x.data(), R, X), divisor}, gradient);
        },
        [&](int64_t R, int64_t X) {
          return felbo::test::declared_likelihood(current, R, X, gradient, 1) +
                 felbo::work_of(R * X, -1.0, current.again(gradient) + divided_again);
        });
  }
}

INSTANTIATE_TEST_SUITE_P(Families, LossWork, testing::ValuesIn(felbo::test::loss_families()),
                         [](const auto& info) { return info.param.name; });

TEST(Work, ElboLoss) {
  for (const felbo::test::LossFamily& family : felbo::test::loss_families()) {
    if (!family.in_elbo_loss) continue;
    current = family;
    constexpr int64_t Z = 7;
    for (const bool gradient : {true, false}) {
      for (const int S : {1, 2}) {
        const auto run = [&](int64_t B, int64_t X, int64_t latent) {
          const int64_t wide = X * current.outputs;
          Array x(B * X, 1), output(B * S * wide), mu(B * latent), log_var(B * latent), log_px(B * S), kl(B),
              elbo(B), grad_output(B * S * wide), grad_mu(B * latent), grad_log_var(B * latent);
          std::vector<std::int32_t> clamped(static_cast<std::size_t>(B * S + B));
          felbo_counted::ElboLossArgs<counting::Number> args;
          args.x = x.matrix(B, X);
          args.samples = S;
          args.output = output.matrix(B * S, wide);
          args.mu = mu.matrix(B, latent);
          args.log_var = log_var.matrix(B, latent);
          args.want_gradient = gradient;
          args.log_px_given_z = log_px.view();
          args.kl = kl.view();
          args.elbo = elbo.view();
          args.clamped = {clamped.data(), B * S};
          args.posterior_clamped = {clamped.data() + B * S, B};
          args.grad_output = grad_output.matrix(B * S, wide);
          args.grad_mu = grad_mu.matrix(B, latent);
          args.grad_log_var = grad_log_var.matrix(B, latent);
          elbo_loss(CpuExec(1), likelihood_under_test(), args);
          return tally({&log_px, &kl, &elbo, &grad_output, &grad_mu, &grad_log_var});
        };
        expect_declared(
            "elbo_loss of x, " + current.name, [&](int64_t B, int64_t X) { return run(B, X, Z); },
            [&](int64_t B, int64_t X) {
              return felbo::test::declared_elbo_loss(current, B, X, Z, S, 4, gradient);
            });
        expect_declared(
            "elbo_loss of z, " + current.name, [&](int64_t B, int64_t latent) { return run(B, 3, latent); },
            [&](int64_t B, int64_t latent) {
              return felbo::test::declared_elbo_loss(current, B, 3, latent, S, 4, gradient);
            });
      }
    }
  }
}

TEST(Work, StepGuard) {
  expect_declared(
      "guard_step",
      [](int64_t rows, int64_t cols) {
        const int64_t P = rows * cols;
        Array gradient(P), terms(4), partial(1);
        std::int64_t clamped = 0;
        felbo_counted::StepGuard guard{};
        guard_step(CpuExec(1), felbo_counted::GuardStepArgs{.gradient = gradient.view(),
                                                            .terms = terms.view(),
                                                            .clamped = {&clamped, 1},
                                                            .partial = partial.view(),
                                                            .guard = {&guard, 1}});
        return tally({&partial});
      },
      [](int64_t rows, int64_t cols) { return felbo::step_guard_work(rows * cols); });
}

}  // namespace
