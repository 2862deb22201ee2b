#include "kernels/dense/dense.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <type_traits>
#include <utility>

#include "kernels/dense/dense_reference.h"
#include "tests/harness/parity.h"
#if defined(FELBO_TEST_CUDA)
#include "host/exec/cublas_lt.h"
#endif

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
// smaller, as libraries add in blocks, so (8 + n / 16) eps leaves room for blocks of sixteen and no more. The
// activations have slopes of at most 1.13 and errors of a few ulp of their value.
double product_k(int n) { return 8 + n / 16.0; }

// How a layer can be computed. Each path keeps what its backward pass needs in its own way.
struct Path {
  const char* name;
  bool tf32 = false, fused = true;
  double operand_error = 0.0;  // of each product, relative: both operands lose bits
  double gelu_error = 0.0;     // of gelu's tanh
};

#if defined(FELBO_TEST_CUDA)

// Operands in tf32 keep 10 bits behind the leading one, rounded or cut off: 2^-10 each at most. cuBLASLt's
// gelu then takes tanh.approx.f32, within 2^-11 by the PTX manual.
const Path kPaths[] = {{"fp32"},
                       {"fp32 without epilogues", false, false},
                       {"tf32", true, true, 0x1p-9, 0x1p-11},
                       {"tf32 without epilogues", true, false, 0x1p-9}};

// What is stored in bfloat16 is given as it is: only results are rounded.
const Path kBFloat16Paths[] = {{"bfloat16", false, true, 0.0, 0x1p-11},
                               {"bfloat16 without epilogues", false, false}};

test::Exec on(const Path& path) {
  static std::map<std::pair<bool, bool>, CudaExec> execs;
  const std::pair key{path.tf32, path.fused};
  if (!execs.contains(key)) {
    const Precision precision = path.tf32 ? Precision::kTf32 : Precision::kFp32;
    const auto added = execs.emplace(key, CudaExec(0, CudaExec::kDefaultWorkspace, precision)).first;
    added->second.cublas_lt().fused = path.fused;
  }
  return test::Exec(execs.at(key));
}

#else

const Path kPaths[] = {{"two threads"}};

CpuExec on(const Path&) { return CpuExec(2); }

#endif

/// T: how its operands are stored; Y: its bias and result.
template <class T = float, class Y = T>
struct Layer {
  explicit Layer(const Case& c)
      : x(c.batch, c.in, c.extra_stride, c.offset),
        weight(c.in, c.out, c.extra_stride, c.offset),
        bias(1, c.out, 0, c.offset),
        grad_y(c.batch, c.out, c.extra_stride, c.offset) {
    test::fill_normal(x.matrix(), 1);
    test::fill_normal(weight.matrix(), 2, 1.0f / std::sqrt(static_cast<float>(c.in)));
    test::fill_normal(bias.matrix(), 3);
    test::fill_normal(grad_y.matrix(), 4);
  }
  Guarded<T> x, weight;
  Guarded<Y> bias;
  Guarded<T> grad_y;
};

/// The aux of a layer's y between guard bands; its view is empty where nothing is kept.
struct Aux {
  Aux(const Path& path, Activation act, int rows, int cols, std::int64_t element = sizeof(float))
      : bytes(dense_aux_bytes(on(path), act, rows, cols, element)), memory(1, bytes) {}
  View<std::byte, 1> view() { return bytes > 0 ? memory.vector() : View<std::byte, 1>(); }
  std::int64_t bytes;
  Guarded<std::byte> memory;
};

template <class T = float, class Y = T>
Parity check_forward(const Path& path, const Case& c, Activation act, bool with_aux) {
  Layer<T, Y> layer(c);
  Guarded<Y> y(c.batch, c.out, c.extra_stride, c.offset);
  Aux aux(path, act, c.batch, c.out, sizeof(Y));
  DenseArgsOf<T, Y> args{layer.x.matrix(), layer.weight.matrix(), layer.bias.vector(), act, y.matrix(), {}};
  if (with_aux) args.aux = aux.view();
  dense(on(path), args);
  const auto want = reference::affine<double>(to_double(layer.x.matrix()), to_double(layer.weight.matrix()),
                                              to_double(layer.bias.matrix()), c.batch, c.in, c.out);
  const double gelu_error = act == Activation::kGelu ? path.gelu_error : 0.0;
  std::vector<double> value, tolerance;
  for (std::size_t i = 0; i < want.value.size(); ++i) {
    value.push_back(reference::activation(act, want.value[i]));
    // Where cuBLASLt has no epilogue, or none for the shape, the product is stored before the rest is done.
    const double bias = static_cast<float>(layer.bias.vector()(static_cast<std::int64_t>(i) % c.out));
    const double between = test::storage_error<Y>(std::abs(want.value[i]) + std::abs(bias));
    tolerance.push_back(1.13 * ((product_k(c.in) * kEps + path.operand_error) * want.magnitude[i] + between) +
                        4 * kEps * std::max(1.0, std::abs(value.back())) +
                        gelu_error * std::abs(want.value[i] / 2));
  }
  Parity parity;
  parity.compare("y", y.matrix(), value, tolerance);
  for (const Guarded<Y>* g : {&y, &layer.bias}) g->check_guards(parity, "dense");
  for (const Guarded<T>* g : {&layer.x, &layer.weight}) g->check_guards(parity, "dense");
  aux.memory.check_guards(parity, "dense: aux");
  return parity;
}

/// The layer below, which makes x and keeps its aux: the unit matrix without bias, so that its value before
/// the activation is known exactly. It has at most 11 significant bits, or 8 in bfloat16: every precision
/// keeps them.
template <class T = float>
struct Below {
  Below(const Path& path, Activation act, Case c, View<T, 2> x)
      : pre(c.batch, c.in, c.extra_stride), aux(path, act, c.batch, c.in, sizeof(T)) {
    constexpr float kUnit = std::is_same_v<T, float> ? 1.0f / 256.0f : 1.0f / 16.0f;
    test::fill_normal(pre.matrix(), 5, 1.5f);
    for (int b = 0; b < c.batch; ++b) {
      for (int i = 0; i < c.in; ++i) {
        T& value = pre.matrix()(b, i);
        const float rounded = std::round(static_cast<float>(value) / kUnit) * kUnit;
        value = T(rounded == 0.0f ? 1.0f : rounded);  // relu has no derivative at 0
      }
    }
    Guarded<T> unit(c.in, c.in), zero(1, c.in);
    for (int i = 0; i < c.in; ++i) {
      zero.vector()(i) = T(0.0f);
      for (int j = 0; j < c.in; ++j) unit.matrix()(i, j) = T(i == j ? 1.0f : 0.0f);
    }
    dense(on(path), DenseArgsOf<T>{pre.matrix(), unit.matrix(), zero.vector(), act, x, aux.view()});
  }
  Guarded<T> pre;
  Aux aux;
};

std::vector<double> scaled(const std::vector<double>& magnitude, double k) {
  std::vector<double> tolerance;
  for (const double m : magnitude) tolerance.push_back(k * m);
  return tolerance;
}

enum class Wanted { kAll, kParameters, kX };

template <class T = float>
Parity check_backward(const Path& path, const Case& c, Activation act, Wanted wanted) {
  const bool want_x = wanted != Wanted::kParameters;
  Layer<T> layer(c);
  Below<T> below(path, act, c, layer.x.matrix());
  Guarded<T> grad_x(c.batch, c.in, c.extra_stride, c.offset);
  Guarded<float> grad_weight(c.in, c.out, c.extra_stride), grad_bias(1, c.out, 0, c.offset);
  DenseGradArgsOf<T> args{.x = layer.x.matrix(),
                          .weight = layer.weight.matrix(),
                          .grad_y = layer.grad_y.matrix(),
                          .grad_weight = grad_weight.matrix(),
                          .grad_bias = grad_bias.vector(),
                          .below = act,
                          .x_aux = below.aux.view()};
  if (want_x) args.grad_x = grad_x.matrix();
  if (wanted == Wanted::kX) {
    args.grad_weight = {};
    args.grad_bias = {};
  }
  dense_backward(on(path), args);
  const auto want =
      reference::affine_gradient<double>(to_double(layer.x.matrix()), to_double(layer.weight.matrix()),
                                         to_double(layer.grad_y.matrix()), c.batch, c.in, c.out);
  const double over_batch = product_k(c.batch) * kEps + path.operand_error;
  Parity parity;
  if (wanted != Wanted::kX) {
    parity.compare("grad_weight", grad_weight.matrix(), want.weight,
                   scaled(want.weight_magnitude, over_batch));
    parity.compare("grad_bias", grad_bias.vector(), want.bias, scaled(want.bias_magnitude, over_batch));
  }
  if (want_x) {
    // The derivative comes from the rounded y: its error is a few eps in absolute terms (y (1 - y), 1 - y^2,
    // 1 - e^-y), which multiplies the product. Through gelu's derivative an error of tanh grows by
    // 1/2 + |x (1 - t^2)' u'| / 2, which is below 8 for every x.
    // In bfloat16 the y that it comes from is off by 2^-9 below 1, and by as little after e^-y beyond: 2^-8.
    const bool from_y =
        act == Activation::kTanh || act == Activation::kSigmoid || act == Activation::kSoftplus;
    const double slope_error = 8 * (kEps + (act == Activation::kGelu ? path.gelu_error : 0.0)) +
                               (from_y && !std::is_same_v<T, float> ? 0x1p-8 : 0.0);
    // relu's 0 or 1 changes nothing that was stored before.
    const bool stored = act != Activation::kIdentity && act != Activation::kRelu;
    std::vector<double> value, tolerance;
    for (std::size_t i = 0; i < want.x.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      const double slope = reference::activation_derivative<double>(
          act, static_cast<float>(below.pre.matrix()(at / c.in, at % c.in)));
      value.push_back(want.x[i] * slope);
      const double between = stored ? test::storage_error<T>(std::abs(want.x[i])) : 0.0;
      tolerance.push_back(((product_k(c.out) * kEps + path.operand_error) * want.x_magnitude[i] + between) *
                              (std::abs(slope) + slope_error) +
                          slope_error * std::abs(want.x[i]));
    }
    parity.compare("grad_x", grad_x.matrix(), value, tolerance);
  }
  for (const Guarded<float>* g : {&grad_weight, &grad_bias}) g->check_guards(parity, "dense_backward");
  for (const Guarded<T>* g : {&grad_x, &layer.grad_y, &layer.x}) g->check_guards(parity, "dense_backward");
  below.aux.memory.check_guards(parity, "dense_backward: aux");
  return parity;
}

TEST(Dense, ForwardMatchesTheReference) {
  for (const Path& path : kPaths) {
    for (const Case& c : cases()) {
      for (const Activation act : kAll) {
        SCOPED_TRACE(testing::Message() << path.name << ": " << c.batch << " x " << c.in << " x " << c.out
                                        << " " << name_of(act));
        const Parity parity = check_forward(path, c, act, c.batch % 2 == 1);
        FELBO_EXPECT_PARITY(parity);
      }
    }
  }
}

TEST(Dense, BackwardMatchesTheReference) {
  for (const Path& path : kPaths) {
    for (const Case& c : cases()) {
      for (const Activation below : kAll) {
        SCOPED_TRACE(testing::Message() << path.name << ": " << c.batch << " x " << c.in << " x " << c.out
                                        << " " << name_of(below));
        const bool odd = c.batch % 2 == 1;
        const Parity parity = check_backward(path, c, below, odd ? Wanted::kAll : Wanted::kParameters);
        FELBO_EXPECT_PARITY(parity);
        const Parity of_x = check_backward(path, c, below, Wanted::kX);
        FELBO_EXPECT_PARITY(of_x);
      }
    }
  }
}

#if defined(FELBO_TEST_CUDA)

TEST(Dense, BFloat16MatchesTheReference) {
  for (const Path& path : kBFloat16Paths) {
    for (const Case& c : cases()) {
      for (const Activation act : kAll) {
        SCOPED_TRACE(testing::Message() << path.name << ": " << c.batch << " x " << c.in << " x " << c.out
                                        << " " << name_of(act));
        const bool odd = c.batch % 2 == 1;
        const Parity stored = check_forward<BFloat16>(path, c, act, odd);
        const Parity in_float = check_forward<BFloat16, float>(path, c, act, odd);
        const Parity backward = check_backward<BFloat16>(path, c, act, odd ? Wanted::kAll : Wanted::kX);
        FELBO_EXPECT_PARITY(stored);
        FELBO_EXPECT_PARITY(in_float);
        FELBO_EXPECT_PARITY(backward);
      }
    }
  }
}

// Element (i, j) of what a layer with y in T has kept: relu's bit, gelu's value before the activation.
template <class T>
double kept(Activation act, Aux& aux, const Case& c, int i, int j) {
  const std::int64_t row = i * (aux.bytes / c.batch);
  if (act == Activation::kRelu) return (aux.view()(row + j / 8) >> j % 8 & std::byte{1}) != std::byte{0};
  T value(0.0f);
  std::memcpy(static_cast<void*>(&value), &aux.view()(row + j * std::int64_t{sizeof value}), sizeof value);
  return static_cast<float>(value);
}

template <class T>
void expect_same_kept(const Path& fused, const Path& plain, Activation act, const Case& c, double tolerance) {
  Layer<T> layer(c);
  Guarded<T> y(c.batch, c.out);
  Aux by_epilogue(fused, act, c.batch, c.out, sizeof(T)), by_kernel(plain, act, c.batch, c.out, sizeof(T));
  DenseArgsOf<T> args{layer.x.matrix(), layer.weight.matrix(), layer.bias.vector(), act, y.matrix(), {}};
  args.aux = by_epilogue.view();
  dense(on(fused), args);
  args.aux = by_kernel.view();
  dense(on(plain), args);
  for (int i = 0; i < c.batch; ++i) {
    for (int j = 0; j < c.out; ++j)
      ASSERT_NEAR(kept<T>(act, by_epilogue, c, i, j), kept<T>(act, by_kernel, c, i, j), tolerance)
          << name_of(act) << " " << i << " " << j;
  }
}

// A backward pass may be fused where its forward pass was not, and the other way round: cuBLASLt refuses them
// for different reasons. So both must keep the same in the same place.
TEST(Dense, EpiloguesAndKernelsKeepTheSame) {
  for (const Case& c : {Case{3, 20, 1}, Case{5, 33, 31, 1, 1}, Case{17, 31, 129}, Case{128, 20, 256}}) {
    expect_same_kept<float>(kPaths[0], kPaths[1], Activation::kRelu, c, 0.01);
    expect_same_kept<float>(kPaths[2], kPaths[3], Activation::kGelu, c, 0.01);
    // Values below 8 that are stored once or twice on their way: 2^-6 each.
    expect_same_kept<BFloat16>(kBFloat16Paths[0], kBFloat16Paths[1], Activation::kGelu, c, 3 * 0x1p-6);
  }
}

#endif

#if !defined(FELBO_TEST_CUDA)

// Users rely on it: the same run on any number of threads gives the same bits.
TEST(Dense, BitsDoNotDependOnThreads) {
  for (const Case& c : {Case{128, 784, 500}, Case{128, 500, 784}, Case{100, 20, 200}, Case{500, 300, 40},
                        Case{1000, 64, 16}}) {
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 3, 7}) {
      Layer<> layer(c);
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
  Layer<> layer(c);
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

#else

// Users rely on it: the same run gives the same bits.
TEST(Dense, BitsAreTheSameEachTime) {
  for (const Path& path : kPaths) {
    const Case c{257, 785, 129};
    std::vector<std::vector<float>> results;
    for (int run = 0; run < 3; ++run) {
      Layer<> layer(c);
      Guarded<float> y(c.batch, c.out), grad_weight(c.in, c.out), grad_bias(1, c.out);
      dense(on(path),
            {layer.x.matrix(), layer.weight.matrix(), layer.bias.vector(), Activation::kTanh, y.matrix()});
      dense_backward(on(path), {layer.x.matrix(), layer.weight.matrix(), layer.grad_y.matrix(),
                                grad_weight.matrix(), grad_bias.vector()});
      std::vector<float> all;
      for (Guarded<float>* g : {&y, &grad_weight, &grad_bias})
        all.insert(all.end(), g->vector().begin(), g->vector().end());
      results.push_back(all);
    }
    EXPECT_EQ(results[1], results[0]) << path.name;
    EXPECT_EQ(results[2], results[0]) << path.name;
  }
}

#endif

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
  // Two rows through the layer below with weight 1, then through one with weight 1.
  const auto derivative = [](Activation below, float at) {
    const Path& path = kPaths[0];
    test::Array<float> pre{at, at}, x(2), one{1}, zero{0}, grad_y{1, 1}, grad_weight(1), grad_bias(1),
        grad_x(2);
    Aux aux(path, below, 2, 1);
    dense(on(path),
          {{pre.data(), 2, 1}, {one.data(), 1, 1}, {zero.data(), 1}, below, {x.data(), 2, 1}, aux.view()});
    dense_backward(on(path), {.x = {x.data(), 2, 1},
                              .weight = {one.data(), 1, 1},
                              .grad_y = {grad_y.data(), 2, 1},
                              .grad_weight = {grad_weight.data(), 1, 1},
                              .grad_bias = {grad_bias.data(), 1},
                              .below = below,
                              .x_aux = aux.view(),
                              .grad_x = {grad_x.data(), 2, 1}});
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
  for (const Path& path : kPaths) {
    for (const Activation act : kAll) {
      test::Array<float> x{1, std::nanf("")}, w{1}, bias{0}, y(2);
      dense(on(path), {{x.data(), 2, 1}, {w.data(), 1, 1}, {bias.data(), 1}, act, {y.data(), 2, 1}});
      EXPECT_FALSE(std::isnan(y[0])) << name_of(act);
#if defined(FELBO_TEST_CUDA)
      if (act == Activation::kRelu && path.fused) continue;  // cuBLASLt's makes it 0
#endif
      EXPECT_TRUE(std::isnan(y[1])) << path.name << " " << name_of(act);
    }
  }
}

TEST(Dense, RefusesShapesThatDisagree) {
  test::Array<float> memory(16);
  float* a = memory.data();
  const auto forward = [](const DenseArgs& args) { dense(on(kPaths[0]), args); };
  const auto backward = [](const DenseGradArgs& args) { dense_backward(on(kPaths[0]), args); };
  EXPECT_THROW(forward({{a, 2, 3}, {a, 2, 2}, {a, 2}, Activation::kRelu, {a, 2, 2}}), std::invalid_argument);
  EXPECT_THROW(forward({{a, 2, 3}, {a, 3, 2}, {a, 3}, Activation::kRelu, {a, 2, 2}}), std::invalid_argument);
  EXPECT_THROW(forward({{a, 0, 3}, {a, 3, 2}, {a, 2}, Activation::kRelu, {a, 0, 2}}), std::invalid_argument);
  std::byte* bytes = reinterpret_cast<std::byte*>(a);
  for (const View<std::byte, 1> aux : {View<std::byte, 1>{bytes, 15}, View<std::byte, 1>{bytes + 4, 64}}) {
    EXPECT_THROW(forward({{a, 2, 3}, {a, 3, 2}, {a, 2}, Activation::kGelu, {a, 2, 2}, aux}),
                 std::invalid_argument);
  }
  EXPECT_THROW(backward({{a, 2, 3}, {a, 3, 2}, {a, 2, 2}, {a, 2, 2}, {a, 2}, Activation::kRelu, {}, {}}),
               std::invalid_argument);
  EXPECT_THROW(
      backward({{a, 2, 3}, {a, 3, 2}, {a, 2, 2}, {a, 3, 2}, {a, 2}, Activation::kIdentity, {}, {a, 2, 2}}),
      std::invalid_argument);
  EXPECT_THROW(
      backward({{a, 2, 3}, {a, 3, 2}, {a, 2, 2}, {a, 3, 2}, {a, 2}, Activation::kGelu, {}, {a, 2, 3}}),
      std::invalid_argument);
  // Without parameters' gradients there must be another one, and no half of them.
  EXPECT_THROW(backward({{a, 2, 3}, {a, 3, 2}, {a, 2, 2}, {}, {}, Activation::kIdentity, {}, {}}),
               std::invalid_argument);
  EXPECT_THROW(backward({{a, 2, 3}, {a, 3, 2}, {a, 2, 2}, {}, {a, 2}, Activation::kIdentity, {}, {a, 2, 3}}),
               std::invalid_argument);
  EXPECT_THROW(activation_from_name("swish"), std::invalid_argument);
  for (const Activation act : kAll) EXPECT_EQ(activation_from_name(name_of(act)), act);
}

}  // namespace
}  // namespace felbo
