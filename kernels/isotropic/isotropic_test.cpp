#include "kernels/isotropic/isotropic.h"

#include <gtest/gtest.h>

#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;

// The sum is that of a row in double; a lane adds at most 64 floats before they move into a double.
TEST(Isotropic, RepeatsAndAddsUp) {
  for (const int latent : {1, 2, 20, 31, 33, 63, 64, 65, 129, 2049}) {
    for (const int batch : {1, 2, 31, 33, 255}) {
      SCOPED_TRACE(testing::Message() << batch << " x " << latent);
      Guarded<float> one(batch, 1, latent % 4, 1), log_var(batch, latent, latent % 3, latent % 4),
          grad(batch, latent, latent % 2, 1), grad_one(batch, 1, latent % 5);
      test::fill_normal(one.matrix(), 1);
      test::fill_normal(grad.matrix(), 2);
      repeat_log_var(test::exec(1 + batch % 3), {one.matrix(), log_var.matrix()});
      sum_log_var_grad(test::exec(1 + batch % 3), {grad.matrix(), grad_one.matrix()});
      Parity parity;
      for (int b = 0; b < batch; ++b) {
        double sum = 0, magnitude = 0;
        for (int d = 0; d < latent; ++d) {
          const double g = grad.matrix()(b, d);
          sum += g;
          magnitude += std::abs(g);
          parity.element("log_var", b, d, log_var.matrix()(b, d), one.matrix()(b, 0), 0);
        }
        parity.element("grad", b, 0, grad_one.matrix()(b, 0), sum, 10 * kEps * magnitude);
      }
      for (const Guarded<float>* g : {&one, &log_var, &grad, &grad_one}) g->check_guards(parity, "isotropic");
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(Isotropic, ThreadsDoNotChangeABit) {
  Guarded<float> grad(500, 300), one(500, 1), other(500, 1);
  test::fill_normal(grad.matrix(), 2);
  sum_log_var_grad(test::exec(1), {grad.matrix(), one.matrix()});
  sum_log_var_grad(test::exec(3), {grad.matrix(), other.matrix()});
  EXPECT_TRUE(test::same_bits(one.matrix(), other.matrix()));
}

TEST(Isotropic, RefusesShapesThatDisagree) {
  Guarded<float> one(4, 1), two(4, 2), wide(4, 5), other(3, 5);
  EXPECT_THROW(repeat_log_var(test::exec(1), {two.matrix(), wide.matrix()}), std::invalid_argument);
  EXPECT_THROW(repeat_log_var(test::exec(1), {one.matrix(), other.matrix()}), std::invalid_argument);
  EXPECT_THROW(sum_log_var_grad(test::exec(1), {wide.matrix(), two.matrix()}), std::invalid_argument);
  EXPECT_THROW(sum_log_var_grad(test::exec(1), {other.matrix(), one.matrix()}), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
