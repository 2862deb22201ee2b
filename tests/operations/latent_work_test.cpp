// What the ops of the posterior and Adam declare, against the sources of their CPU loops.
#include <gtest/gtest-spi.h>

#include "kernels/adam/adam_work.h"
#include "kernels/conditional_gaussian/conditional_gaussian_work.h"
#include "kernels/free_bits/free_bits_work.h"
#include "kernels/reparameterize/reparameterize_work.h"
#include "tests/operations/counted.h"
// The order of what follows matters.
// clang-format off
#include "tests/operations/counting_on.h"
#include "kernels/adam/adam_cpu.cpp"
#include "kernels/conditional_gaussian/conditional_gaussian_cpu.cpp"
#include "kernels/free_bits/free_bits_cpu.cpp"
#include "kernels/reparameterize/reparameterize_cpu.cpp"
#include "tests/operations/counting_off.h"
// clang-format on

/// Normals with the operations that one takes.
void felbo_counted::normal_tile(const felbo::NoiseStream&, const std::uint32_t*, const std::uint32_t*,
                                int rows, std::uint32_t, std::int64_t n, counting::Number* out,
                                std::int64_t stride) {
  for (int r = 0; r < rows; ++r) {
    for (std::int64_t i = 0; i < n; ++i) {
      out[r * stride + i] = 0.7;
      out[r * stride + i].node = counting::add_node({felbo::kNormalOperations, false, {-1, -1, -1}, 1});
    }
  }
}

namespace {

using counting::Array, counting::expect_declared, counting::Tally, counting::tally;
using felbo::CpuExec, felbo::View;
using std::int64_t;

/// Arrays of integers, which are not counted.
struct Integers {
  explicit Integers(int64_t size)
      : datum(static_cast<std::size_t>(size)), clamped(static_cast<std::size_t>(size)) {}
  View<const std::uint32_t, 1> data(int64_t size) const { return {datum.data(), size}; }
  View<std::int32_t, 1> counts(int64_t size) { return {clamped.data(), size}; }
  std::vector<std::uint32_t> datum;
  std::vector<std::int32_t> clamped;
};

TEST(Work, Adam) {
  expect_declared(
      "adam",
      [](int64_t rows, int64_t cols) {
        const int64_t P = rows * cols;
        Array parameter(P), gradient(P), m(P), v(P);
        adam(CpuExec(1), felbo_counted::AdamArgs{.parameter = parameter.view(),
                                                 .gradient = gradient.view(),
                                                 .m = m.view(),
                                                 .v = v.view(),
                                                 .step = felbo_counted::AdamStep{1, 1, 1, 1, 1, 1, 1}});
        return tally({&parameter, &m, &v});
      },
      [](int64_t rows, int64_t cols) { return felbo::adam_work(rows * cols); });
}

TEST(Work, Reparameterize) {
  for (const int S : {1, 3}) {
    for (const bool densities : {false, true}) {
      expect_declared(
          "reparameterize",
          [&](int64_t B, int64_t Z) {
            Array mu(B * Z), log_var(B * Z), z(B * S * Z), kl(B), log_pz(B * S), log_qz(B * S);
            Integers ints(B);
            felbo_counted::ReparameterizeArgs args{.mu = mu.matrix(B, Z),
                                                   .log_var = log_var.matrix(B, Z),
                                                   .noise = {},
                                                   .datum = ints.data(B),
                                                   .samples = S,
                                                   .z = z.matrix(B * S, Z),
                                                   .kl = kl.view(),
                                                   .clamped = ints.counts(B)};
            if (densities) args.log_pz = log_pz.view(), args.log_qz_given_x = log_qz.view();
            reparameterize(CpuExec(1), args);
            return tally({&z, &kl, &log_pz, &log_qz});
          },
          [&](int64_t B, int64_t Z) { return felbo::reparameterize_work(B, Z, S, densities); });
    }
  }
}

TEST(Work, ReparameterizeBackward) {
  for (const int S : {1, 3}) {
    expect_declared(
        "reparameterize_backward",
        [&](int64_t B, int64_t Z) {
          Array mu(B * Z), log_var(B * Z), grad_z(B * S * Z), grad_mu(B * Z), grad_log_var(B * Z);
          Integers ints(B);
          reparameterize_backward(
              CpuExec(1), felbo_counted::ReparameterizeGradArgs{.mu = mu.matrix(B, Z),
                                                                .log_var = log_var.matrix(B, Z),
                                                                .noise = {},
                                                                .datum = ints.data(B),
                                                                .samples = S,
                                                                .grad_z = grad_z.matrix(B * S, Z),
                                                                .grad_mu = grad_mu.matrix(B, Z),
                                                                .grad_log_var = grad_log_var.matrix(B, Z)});
          return tally({&grad_mu, &grad_log_var});
        },
        [&](int64_t B, int64_t Z) { return felbo::reparameterize_backward_work(B, Z, S); });
  }
}

TEST(Work, ConditionalDraw) {
  for (const bool standard : {false, true}) {
    expect_declared(
        "conditional_draw",
        [&](int64_t R, int64_t Z) {
          Array mu(R * Z), log_var(R * Z), z(R * Z), log_q(R), log_standard(R);
          Integers ints(R);
          felbo_counted::ConditionalDrawArgs args{.mu = mu.matrix(R, Z),
                                                  .log_var = log_var.matrix(R, Z),
                                                  .noise = {},
                                                  .datum = ints.data(R),
                                                  .z = z.matrix(R, Z),
                                                  .log_q = log_q.view(),
                                                  .clamped = ints.counts(R)};
          if (standard) args.log_standard = log_standard.view();
          conditional_draw(CpuExec(1), args);
          return tally({&z, &log_q, &log_standard});
        },
        [&](int64_t R, int64_t Z) { return felbo::conditional_draw_work(R, Z, standard); });
  }
}

TEST(Work, ConditionalDrawBackward) {
  expect_declared(
      "conditional_draw_backward",
      [](int64_t R, int64_t Z) {
        Array mu(R * Z), log_var(R * Z), grad_z(R * Z), grad_mu(R * Z), grad_log_var(R * Z);
        Integers ints(R);
        conditional_draw_backward(
            CpuExec(1), felbo_counted::ConditionalDrawGradArgs{.mu = mu.matrix(R, Z),
                                                               .log_var = log_var.matrix(R, Z),
                                                               .noise = {},
                                                               .datum = ints.data(R),
                                                               .grad_z = grad_z.matrix(R, Z),
                                                               .grad_mu = grad_mu.matrix(R, Z),
                                                               .grad_log_var = grad_log_var.matrix(R, Z)});
        return tally({&grad_mu, &grad_log_var});
      },
      [](int64_t R, int64_t Z) { return felbo::conditional_draw_backward_work(R, Z); });
}

TEST(Work, ConditionalDensity) {
  expect_declared(
      "conditional_density",
      [](int64_t R, int64_t Z) {
        Array z(R * Z), mu(R * Z), log_var(R * Z), log_p(R);
        Integers ints(R);
        conditional_density(CpuExec(1), felbo_counted::ConditionalDensityArgs{.z = z.matrix(R, Z),
                                                                              .mu = mu.matrix(R, Z),
                                                                              .log_var = log_var.matrix(R, Z),
                                                                              .log_p = log_p.view(),
                                                                              .clamped = ints.counts(R)});
        return tally({&log_p});
      },
      [](int64_t R, int64_t Z) { return felbo::conditional_density_work(R, Z); });
}

TEST(Work, ConditionalDensityBackward) {
  expect_declared(
      "conditional_density_backward",
      [](int64_t R, int64_t Z) {
        Array z(R * Z), mu(R * Z), log_var(R * Z), grad_z(R * Z), grad_mu(R * Z), grad_log_var(R * Z);
        conditional_density_backward(
            CpuExec(1), felbo_counted::ConditionalDensityGradArgs{.z = z.matrix(R, Z),
                                                                  .mu = mu.matrix(R, Z),
                                                                  .log_var = log_var.matrix(R, Z),
                                                                  .grad_z = grad_z.matrix(R, Z),
                                                                  .grad_mu = grad_mu.matrix(R, Z),
                                                                  .grad_log_var = grad_log_var.matrix(R, Z)});
        return tally({&grad_z, &grad_mu, &grad_log_var});
      },
      [](int64_t R, int64_t Z) { return felbo::conditional_density_backward_work(R, Z); });
}

TEST(Work, AddGradient) {
  expect_declared(
      "add_gradient",
      [](int64_t R, int64_t Z) {
        Array more(R * Z), gradient(R * Z);
        add_gradient(CpuExec(1), felbo_counted::AddGradientArgs{more.matrix(R, Z), gradient.matrix(R, Z)});
        return tally({&gradient});
      },
      [](int64_t R, int64_t Z) { return felbo::add_gradient_work(R, Z); });
}

TEST(Work, FreeBits) {
  expect_declared(
      "free_bits",
      [](int64_t B, int64_t Z) {
        Array mu(B * Z), log_var(B * Z), kl(Z), weight(Z);
        free_bits(CpuExec(1), felbo_counted::FreeBitsArgs{.mu = mu.matrix(B, Z),
                                                          .log_var = log_var.matrix(B, Z),
                                                          .kl = kl.view(),
                                                          .weight = weight.view()});
        return tally({&kl});
      },
      [](int64_t B, int64_t Z) { return felbo::free_bits_work(B, Z); });
}

// The comparison is seen to fail: what declares an operation too many, or an array too few.
TEST(Work, AnotherDeclarationIsRed) {
  const auto one_product = [](int64_t rows, int64_t cols) {
    Array a(rows * cols);
    for (counting::Number& x : a.view()) x = x * x;
    return tally({&a});
  };
  const auto declared = [&](double bytes, double operations) {
    return [=](int64_t rows, int64_t cols) { return felbo::work_of(rows * cols, bytes, operations); };
  };
  expect_declared("a square in place", one_product, declared(8, 1));
  EXPECT_NONFATAL_FAILURE(expect_declared("", one_product, declared(8, 2)), "operations of an element");
  EXPECT_NONFATAL_FAILURE(expect_declared("", one_product, declared(4, 1)), "bytes of an element");
  const auto with_words = [](int64_t rows, int64_t cols) {
    return felbo::work_of(rows * cols, 8, 1) + felbo::words_work(rows * cols);
  };
  EXPECT_NONFATAL_FAILURE(expect_declared("", one_product, with_words), "random words of an element");
}

}  // namespace
