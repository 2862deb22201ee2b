#include "kernels/dense/dense.h"

#include <gtest/gtest.h>

#include "kernels/dense/dense_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Guarded;
using test::kEps;
using test::Parity;
using test::to_double;

constexpr Activation kAll[] = {Activation::kIdentity, Activation::kRelu,     Activation::kTanh,
                               Activation::kGelu,     Activation::kSoftplus, Activation::kSigmoid};

struct Case {
  int batch, in, out;
  int extra_stride = 0, offset = 0;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const int n : {1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 257}) {
    out.push_back({n, 20, 33, n % 3, n % 2});
    out.push_back({33, n, 20, n % 2, 1});
    out.push_back({17, 31, n});
  }
  out.push_back({1, 1, 1});
  out.push_back({100, 785, 129, 1, 3});
  out.push_back({129, 783, 40});
  return out;
}

// A sum of n products in any order: at most n + 1 roundings of the sum of magnitudes; measured errors are far
// smaller, as oneDNN adds in blocks, so (8 + n / 16) eps leaves room for blocks of sixteen and no more. The
// activations have slopes of at most 1.13 and errors of a few ulp of their value.
double product_k(int n) { return 8 + n / 16.0; }

struct Layer {
  explicit Layer(const Case& c)
      : x(c.batch, c.in, c.extra_stride, c.offset),
        weight(c.in, c.out, c.extra_stride, c.offset),
        bias(1, c.out),
        grad_y(c.batch, c.out, c.extra_stride, c.offset) {
    test::fill_normal(x.matrix(), 1);
    test::fill_normal(weight.matrix(), 2, 1.0f / std::sqrt(static_cast<float>(c.in)));
    test::fill_normal(bias.matrix(), 3);
    test::fill_normal(grad_y.matrix(), 4);
  }
  Guarded<float> x, weight, bias, grad_y;
};

Parity check_forward(const Case& c, Activation act, int threads) {
  Layer layer(c);
  Guarded<float> y(c.batch, c.out, c.extra_stride, c.offset), pre(c.batch, c.out, c.extra_stride);
  DenseArgs args{layer.x.matrix(), layer.weight.matrix(), layer.bias.vector(), act, y.matrix(), {}};
  if (needs_pre_activation(act)) args.pre = pre.matrix();
  dense(CpuExec(threads), args);
  const auto want = reference::affine<double>(to_double(layer.x.matrix()), to_double(layer.weight.matrix()),
                                              to_double(layer.bias.matrix()), c.batch, c.in, c.out);
  std::vector<double> value, tolerance, pre_tolerance;
  for (std::size_t i = 0; i < want.value.size(); ++i) {
    value.push_back(reference::activation(act, want.value[i]));
    pre_tolerance.push_back(product_k(c.in) * kEps * want.magnitude[i]);
    tolerance.push_back(1.13 * pre_tolerance.back() + 4 * kEps * std::max(1.0, std::abs(value.back())));
  }
  Parity parity;
  parity.compare("y", y.matrix(), value, tolerance);
  if (needs_pre_activation(act)) parity.compare("pre", pre.matrix(), want.value, pre_tolerance);
  for (const Guarded<float>* g : {&y, &pre, &layer.x, &layer.weight, &layer.bias})
    g->check_guards(parity, "dense");
  return parity;
}

Parity check_backward(const Case& c, Activation below, bool want_x, int threads) {
  Layer layer(c);
  // x is the output of the activation below at some pre-activation.
  Guarded<float> pre(c.batch, c.in, c.extra_stride);
  test::fill_normal(pre.matrix(), 5, 1.5f);
  for (int b = 0; b < c.batch; ++b) {
    for (int i = 0; i < c.in; ++i)
      layer.x.matrix()(b, i) = static_cast<float>(reference::activation<double>(below, pre.matrix()(b, i)));
  }
  Guarded<float> grad_x(c.batch, c.in, c.extra_stride, c.offset), grad_weight(c.in, c.out, c.extra_stride),
      grad_bias(1, c.out);
  DenseGradArgs args{layer.x.matrix(),
                     layer.weight.matrix(),
                     layer.grad_y.matrix(),
                     grad_weight.matrix(),
                     grad_bias.vector(),
                     below,
                     {},
                     {}};
  if (want_x) args.grad_x = grad_x.matrix();
  if (needs_pre_activation(below)) args.x_pre = pre.matrix();
  dense_backward(CpuExec(threads), args);
  const auto want =
      reference::affine_gradient<double>(to_double(layer.x.matrix()), to_double(layer.weight.matrix()),
                                         to_double(layer.grad_y.matrix()), c.batch, c.in, c.out);
  const auto scaled = [](const std::vector<double>& magnitude, double k) {
    std::vector<double> tolerance;
    for (const double m : magnitude) tolerance.push_back(k * kEps * m);
    return tolerance;
  };
  Parity parity;
  parity.compare("grad_weight", grad_weight.matrix(), want.weight,
                 scaled(want.weight_magnitude, product_k(c.batch)));
  parity.compare("grad_bias", grad_bias.vector(), want.bias, scaled(want.bias_magnitude, product_k(c.batch)));
  if (want_x) {
    // The derivative comes from the rounded y: its error is a few eps in absolute terms (y (1 - y), 1 - y^2,
    // 1 - e^-y), which multiplies the product.
    std::vector<double> value, tolerance;
    for (std::size_t i = 0; i < want.x.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      const double slope =
          reference::activation_derivative<double>(below, pre.matrix()(at / c.in, at % c.in));
      value.push_back(want.x[i] * slope);
      tolerance.push_back(product_k(c.out) * kEps * want.x_magnitude[i] * std::abs(slope) +
                          8 * kEps * std::abs(want.x[i]));
    }
    parity.compare("grad_x", grad_x.matrix(), value, tolerance);
  }
  for (const Guarded<float>* g : {&grad_x, &grad_weight, &grad_bias, &layer.grad_y})
    g->check_guards(parity, "dense_backward");
  return parity;
}

TEST(Dense, ForwardMatchesTheReference) {
  for (const Case& c : cases()) {
    for (const Activation act : kAll) {
      SCOPED_TRACE(testing::Message() << c.batch << " x " << c.in << " x " << c.out << " " << name_of(act));
      const Parity parity = check_forward(c, act, 2);
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(Dense, BackwardMatchesTheReference) {
  for (const Case& c : cases()) {
    for (const Activation below : kAll) {
      SCOPED_TRACE(testing::Message() << c.batch << " x " << c.in << " x " << c.out << " " << name_of(below));
      const Parity parity = check_backward(c, below, c.batch % 2 == 1, 2);
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

// Users rely on it: the same run on any number of threads gives the same bits.
TEST(Dense, BitsDoNotDependOnThreads) {
  for (const Case& c : {Case{128, 784, 500}, Case{128, 500, 784}, Case{100, 20, 200}, Case{500, 300, 40},
                        Case{1000, 64, 16}}) {
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 3, 7}) {
      Layer layer(c);
      Guarded<float> y(c.batch, c.out), grad_x(c.batch, c.in), grad_weight(c.in, c.out), grad_bias(1, c.out);
      dense(
          CpuExec(threads),
          {layer.x.matrix(), layer.weight.matrix(), layer.bias.vector(), Activation::kTanh, y.matrix(), {}});
      dense_backward(CpuExec(threads), {layer.x.matrix(),
                                        layer.weight.matrix(),
                                        layer.grad_y.matrix(),
                                        grad_weight.matrix(),
                                        grad_bias.vector(),
                                        Activation::kRelu,
                                        {},
                                        grad_x.matrix()});
      std::vector<float> all;
      for (Guarded<float>* g : {&y, &grad_x, &grad_weight, &grad_bias})
        all.insert(all.end(), g->vector().begin(), g->vector().end());
      results.push_back(all);
    }
    for (const auto& other : results)
      EXPECT_EQ(other, results[0]) << c.batch << " x " << c.in << " x " << c.out;
  }
}

// A row's result does not depend on which other rows stand in the batch.
TEST(Dense, BitsDoNotDependOnTheBatch) {
  const Case c{256, 784, 500};
  Layer layer(c);
  Guarded<float> whole(c.batch, c.out), part(c.batch, c.out);
  dense(
      CpuExec(2),
      {layer.x.matrix(), layer.weight.matrix(), layer.bias.vector(), Activation::kRelu, whole.matrix(), {}});
  for (const int rows : {1, 16, 50, 64, 100, 128, 200}) {
    dense(CpuExec(2), {layer.x.matrix().row_slice(7, std::min(rows, 249)),
                       layer.weight.matrix(),
                       layer.bias.vector(),
                       Activation::kRelu,
                       part.matrix().row_slice(0, std::min(rows, 249)),
                       {}});
    EXPECT_TRUE(test::same_bits(part.matrix().row_slice(0, std::min(rows, 249)),
                                whole.matrix().row_slice(7, std::min(rows, 249))))
        << rows;
  }
}

// The reference's derivative against central differences of the reference's value.
TEST(DenseReference, DerivativeOfTheActivations) {
  for (const Activation act : kAll) {
    for (const double x : {-3.0, -0.7, -1e-3, 1e-3, 0.4, 2.5}) {
      const double h = 1e-5;
      const double slope =
          (reference::activation<double>(act, x + h) - reference::activation<double>(act, x - h)) / (2 * h);
      EXPECT_NEAR(reference::activation_derivative<double>(act, x), slope, 1e-9)
          << name_of(act) << " at " << x;
    }
  }
}

// The gradient of the whole layer by central differences of the reference's value.
TEST(DenseReference, GradientIsTheDerivative) {
  const int B = 3, I = 2, O = 4;
  std::vector<double> x{.1, -.2, .3, .4, -.5, .6}, w{.5, -.4, .3, .2, .1, -.6, .7, -.8},
      bias{.1, .2, -.3, .4};
  const std::vector<double> up{1, -2, .5, .3, -.1, .8, .9, -1.2, .4, .7, -.6, .2};
  const auto loss = [&] {
    const auto y = reference::affine(x, w, bias, B, I, O).value;
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += up[i] * y[i];
    return sum;
  };
  const auto g = reference::affine_gradient(x, w, up, B, I, O);
  for (auto [values, want] : {std::pair{&x, &g.x}, std::pair{&w, &g.weight}, std::pair{&bias, &g.bias}}) {
    for (std::size_t i = 0; i < values->size(); ++i) {
      const double saved = (*values)[i], h = 1e-4;
      (*values)[i] = saved + h;
      const double high = loss();
      (*values)[i] = saved - h;
      const double low = loss();
      (*values)[i] = saved;
      EXPECT_NEAR((high - low) / (2 * h), (*want)[i], 1e-10);
    }
  }
}

// sech^2(1) and so on, by mpmath to 30 digits.
TEST(DenseReference, GoldenValues) {
  EXPECT_NEAR(reference::activation<double>(Activation::kTanh, 1.0), 0.761594155955764888119458282605, 1e-15);
  EXPECT_NEAR(reference::activation<double>(Activation::kSoftplus, -2.0), 0.126928011042972496441472197118,
              1e-15);
  EXPECT_NEAR(reference::activation<double>(Activation::kSigmoid, 0.5), 0.622459331201854593663034293895,
              1e-15);
  EXPECT_NEAR(reference::activation<double>(Activation::kGelu, 1.0), 0.841191990608276, 1e-12);
  EXPECT_NEAR(reference::activation_derivative<double>(Activation::kTanh, 1.0),
              0.419974341614026069394473885105, 1e-15);
}

// Far out, the derivative keeps its relative accuracy where it is small (softplus: e^x) and stays finite
// (gelu).
TEST(Dense, DerivativesFarOut) {
  const auto derivative = [](Activation below, float at) {
    float x[2], pre[2] = {at, at}, weight[1] = {1}, grad_y[2] = {1, 1}, grad_weight[1], grad_bias[1],
                grad_x[2];
    for (float& value : x) value = static_cast<float>(reference::activation<double>(below, at));
    DenseGradArgs args{.x = {x, 2, 1}, .weight = {weight, 1, 1}, .grad_y = {grad_y, 2, 1}};
    args.grad_weight = {grad_weight, 1, 1}, args.grad_bias = {grad_bias, 1}, args.below = below;
    args.grad_x = {grad_x, 2, 1};
    if (needs_pre_activation(below)) args.x_pre = {pre, 2, 1};
    dense_backward(CpuExec(1), args);
    return grad_x[0];
  };
  for (const float x : {-80.0f, -30.0f, -16.0f, -5.0f, -2.3f, -2.2f, 0.0f, 3.0f, 50.0f}) {
    const double want = reference::activation_derivative<double>(Activation::kSoftplus, x);
    // 1 - e^-y cancels by a factor of ten at most, at y = 0.1; e^-y is within 2 ulp.
    EXPECT_NEAR(derivative(Activation::kSoftplus, x), want, 24 * kEps * want) << x;
  }
  for (const float x : {1e4f, 1e19f, 1e30f}) {
    EXPECT_EQ(derivative(Activation::kGelu, x), 1.0f);
    EXPECT_EQ(derivative(Activation::kGelu, -x), 0.0f);
  }
}

TEST(Dense, NanReachesTheOutput) {
  for (const Activation act : kAll) {
    float x[2] = {1, std::nanf("")}, w[1] = {1}, bias[1] = {0}, y[2], pre[2];
    DenseArgs args{{x, 2, 1}, {w, 1, 1}, {bias, 1}, act, {y, 2, 1}, {}};
    if (needs_pre_activation(act)) args.pre = {pre, 2, 1};
    dense(CpuExec(1), args);
    EXPECT_FALSE(std::isnan(y[0])) << name_of(act);
    EXPECT_TRUE(std::isnan(y[1])) << name_of(act);
  }
}

TEST(Dense, RefusesShapesThatDisagree) {
  float a[16] = {};
  EXPECT_THROW(dense(CpuExec(1), {{a, 2, 3}, {a, 2, 2}, {a, 2}, Activation::kRelu, {a, 2, 2}, {}}),
               std::invalid_argument);
  EXPECT_THROW(dense(CpuExec(1), {{a, 2, 3}, {a, 3, 2}, {a, 3}, Activation::kRelu, {a, 2, 2}, {}}),
               std::invalid_argument);
  EXPECT_THROW(dense(CpuExec(1), {{a, 2, 3}, {a, 3, 2}, {a, 2}, Activation::kGelu, {a, 2, 2}, {}}),
               std::invalid_argument);
  EXPECT_THROW(
      dense_backward(CpuExec(1),
                     {{a, 2, 3}, {a, 3, 2}, {a, 2, 2}, {a, 2, 2}, {a, 2}, Activation::kRelu, {}, {}}),
      std::invalid_argument);
  EXPECT_THROW(
      dense_backward(CpuExec(1),
                     {{a, 2, 3}, {a, 3, 2}, {a, 2, 2}, {a, 3, 2}, {a, 2}, Activation::kRelu, {}, {a, 2, 2}}),
      std::invalid_argument);
  EXPECT_THROW(activation_from_name("swish"), std::invalid_argument);
  for (const Activation act : kAll) EXPECT_EQ(activation_from_name(name_of(act)), act);
}

}  // namespace
}  // namespace felbo
