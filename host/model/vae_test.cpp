#include "host/model/vae.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/dense/dense_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

VaeConfig config_of(const std::string& likelihood = "bernoulli", const std::string& variance = "learned") {
  return {.dimensions = 7,
          .latent = 3,
          .hidden = {11, 5},
          .activation = Activation::kTanh,
          .likelihood = likelihood_from_names(likelihood, variance, {-4.0f, 5.0f})};
}

/// "name shape" of every tensor, in order.
std::vector<std::string> layout(const Vae& vae) {
  std::vector<std::string> out;
  for (const ParameterEntry& entry : vae.table().entries()) {
    std::string text = entry.name;
    for (const std::int64_t extent : entry.shape) text += " " + std::to_string(extent);
    out.push_back(text);
  }
  return out;
}

using Layout = std::vector<std::string>;

TEST(Vae, NamesAndShapesItsParameters) {
  EXPECT_EQ(
      layout(Vae(config_of())),
      (Layout{"encoder.0.weight 7 11", "encoder.0.bias 11", "encoder.1.weight 11 5", "encoder.1.bias 5",
              "encoder.2.weight 5 6", "encoder.2.bias 6", "decoder.0.weight 3 5", "decoder.0.bias 5",
              "decoder.1.weight 5 11", "decoder.1.bias 11", "decoder.2.weight 11 7", "decoder.2.bias 7"}));
  VaeConfig linear = config_of();
  linear.hidden.clear();
  EXPECT_EQ(layout(Vae(linear)),
            (Layout{"encoder.0.weight 7 6", "encoder.0.bias 6", "decoder.0.weight 3 7", "decoder.0.bias 7"}));
}

TEST(Vae, TheLikelihoodDecidesTheDecodersWidthAndItsOwnParameters) {
  struct Expected {
    const char *likelihood, *variance;
    std::int64_t outputs, own;
  };
  for (const Expected& e :
       {Expected{"bernoulli", "learned", 1, 0}, Expected{"gaussian", "unit", 1, 0},
        Expected{"gaussian", "fixed:2", 1, 0}, Expected{"gaussian", "learned", 1, 1},
        Expected{"gaussian", "per-dimension", 1, 7}, Expected{"gaussian", "per-element", 2, 0}}) {
    const Vae vae(config_of(e.likelihood, e.variance));
    EXPECT_EQ(vae.decoder().out(), e.outputs * 7) << e.variance;
    EXPECT_EQ(vae.encoder().out(), 6);
    std::vector<float> flat(static_cast<std::size_t>(vae.table().size()));
    const View<float, 1> own = vae.own(View<float, 1>(flat.data(), vae.table().size()));
    EXPECT_EQ(own.size, e.own) << e.likelihood << " " << e.variance;
    EXPECT_EQ(own.empty(), e.own == 0);
    if (e.own > 0) {
      EXPECT_EQ(vae.table().entries().back().name, "likelihood.log_var");
      EXPECT_EQ(own.data, flat.data() + vae.table().entries().back().offset);
    }
  }
}

TEST(Vae, HiddenLayersHaveTheActivationAndTheLastOneNone) {
  const Vae vae(config_of());
  for (const Mlp* mlp : {&vae.encoder(), &vae.decoder()}) {
    ASSERT_EQ(mlp->layers().size(), 3u);
    EXPECT_EQ(mlp->layers()[0].activation, Activation::kTanh);
    EXPECT_EQ(mlp->layers()[1].activation, Activation::kTanh);
    EXPECT_EQ(mlp->layers()[2].activation, Activation::kIdentity);
  }
  EXPECT_EQ(vae.encoder().in(), 7);
  EXPECT_EQ(vae.decoder().in(), 3);
}

TEST(Vae, RefusesSizesThatAreNotPositive) {
  VaeConfig c = config_of();
  c.latent = 0;
  EXPECT_THROW(Vae{c}, std::invalid_argument);
  c = config_of();
  c.dimensions = 0;
  EXPECT_THROW(Vae{c}, std::invalid_argument);
  c = config_of();
  c.hidden = {5, 0};
  EXPECT_THROW(Vae{c}, std::invalid_argument);
}

// --- Initial parameters

const DataMoments kMoments{{0.0, 1.0, 0.5, 0.25, 0.9995, 0.1, 0.75}, 0.04};

TEST(InitialParameters, AreUniformWithinTheirBounds) {
  VaeConfig c = config_of();
  c.dimensions = 200;
  c.hidden = {150};
  const Vae vae(c);
  DataMoments moments{std::vector<double>(200, 0.5), 1.0};
  const std::vector<float> flat = initial_parameters(vae, moments, 3);
  for (const char* name : {"encoder.0.weight", "decoder.1.weight"}) {
    for (const ParameterEntry& entry : vae.table().entries()) {
      if (entry.name != name) continue;
      const double bound = 1.0 / std::sqrt(static_cast<double>(entry.shape[0]));
      double sum = 0, squares = 0, largest = 0;
      for (std::int64_t i = 0; i < entry.size; ++i) {
        const double w = flat[static_cast<std::size_t>(entry.offset + i)];
        sum += w, squares += w * w, largest = std::max(largest, std::abs(w));
      }
      const auto n = static_cast<double>(entry.size);  // 30,000
      EXPECT_LE(largest, bound * (1 + 1e-7));
      EXPECT_GT(largest, bound * (1 - 20 / n));  // missed with probability e^-20
      // Five standard errors of the mean and of the mean square of a uniform: bound^2 / 3 and 4 bound^4 / 45.
      EXPECT_NEAR(sum / n, 0, 5 * bound / std::sqrt(3 * n)) << name;
      EXPECT_NEAR(squares / n, bound * bound / 3, 5 * bound * bound * std::sqrt(4 / (45 * n))) << name;
    }
  }
}

TEST(InitialParameters, WeightsOfDifferentPlacesAreDifferentNumbers) {
  VaeConfig c = config_of();
  c.hidden = {7};  // encoder.0.weight and decoder.1.weight then have one shape
  const Vae vae(c);
  const std::vector<float> flat = initial_parameters(vae, kMoments, 3);
  const View<const float, 1> view{flat.data(), vae.table().size()};
  const View<const float, 2> a = matrix_of(view, vae.table()[vae.encoder().layers()[0].weight]);
  const View<const float, 2> b = matrix_of(view, vae.table()[vae.decoder().layers()[1].weight]);
  std::vector<float> values;
  for (std::int64_t i = 0; i < 7; ++i) {
    for (std::int64_t j = 0; j < 7; ++j) values.insert(values.end(), {a(i, j), b(i, j)});
  }
  std::ranges::sort(values);
  EXPECT_EQ(std::ranges::adjacent_find(values), values.end());  // 98 draws of 2^24 values: 3e-4 by chance
}

TEST(InitialParameters, AreAFunctionOfTheSeedAlone) {
  const Vae vae(config_of("gaussian"));
  const auto a = initial_parameters(vae, kMoments, 3), b = initial_parameters(vae, kMoments, 3);
  EXPECT_EQ(a, b);
  for (const std::uint64_t seed : {std::uint64_t{4}, 3 + (std::uint64_t{1} << 32)})
    EXPECT_NE(a, initial_parameters(vae, kMoments, seed));
}

View<const float, 1> tensor(const Vae& vae, const std::vector<float>& flat, const std::string& name) {
  for (const ParameterEntry& entry : vae.table().entries()) {
    if (entry.name == name) return vector_of(View<const float, 1>(flat.data(), vae.table().size()), entry);
  }
  ADD_FAILURE() << name;
  return {};
}

TEST(InitialParameters, BiasesAreUniformButTheDecodersLast) {
  VaeConfig c = config_of();
  c.hidden = {400};
  const Vae vae(c);
  const std::vector<float> flat = initial_parameters(vae, kMoments, 3);
  for (const auto& [name, in] :
       {std::pair{"encoder.0.bias", 7.0}, {"encoder.1.bias", 400.0}, {"decoder.0.bias", 3.0}}) {
    const double bound = 1.0 / std::sqrt(in);
    double squares = 0, largest = 0;
    const View<const float, 1> bias = tensor(vae, flat, name);
    for (const float b : bias) squares += double(b) * b, largest = std::max(largest, std::abs(double(b)));
    const auto n = static_cast<double>(bias.size);
    EXPECT_LE(largest, bound * (1 + 1e-7)) << name;
    // Five standard errors of the mean square of a uniform; at least one is not zero.
    EXPECT_NEAR(squares / n, bound * bound / 3, 5 * bound * bound * std::sqrt(4 / (45 * n))) << name;
    EXPECT_GT(largest, 0) << name;
  }
}

TEST(InitialParameters, PaddingIsZero) {
  const Vae vae(config_of("gaussian"));
  std::vector<float> flat = initial_parameters(vae, kMoments, 3);
  for (const ParameterEntry& entry : vae.table().entries())
    std::fill_n(flat.begin() + entry.offset, entry.size, 0.0f);
  for (const float value : flat) EXPECT_EQ(value, 0.0f);
}

// ln(p / (1 - p)) with p held in [0.001, 0.999]: ln 999 = 6.906754778648554.
TEST(InitialParameters, ABernoullisOutputStartsAtTheLogitOfTheMean) {
  const Vae vae(config_of());
  const std::vector<float> flat = initial_parameters(vae, kMoments, 3);
  const View<const float, 1> bias = tensor(vae, flat, "decoder.2.bias");
  const double want[] = {-6.906754778648554,  6.906754778648554, 0.0, -1.0986122886681098, 6.906754778648554,
                         -2.1972245773362196, 1.0986122886681098};
  for (int j = 0; j < 7; ++j) EXPECT_NEAR(bias(j), want[j], 1e-6) << j;
}

TEST(InitialParameters, AGaussiansStartsAtTheMeanAndTheLogOfTheVariance) {
  const float log_var = static_cast<float>(std::log(0.04));
  for (const char* variance : {"unit", "learned", "per-dimension", "per-element"}) {
    const Vae vae(config_of("gaussian", variance));
    const std::vector<float> flat = initial_parameters(vae, kMoments, 3);
    const View<const float, 1> bias = tensor(vae, flat, "decoder.2.bias");
    for (std::int64_t j = 0; j < 7; ++j)
      EXPECT_EQ(bias(j), static_cast<float>(kMoments.mean[static_cast<std::size_t>(j)])) << variance;
    for (std::int64_t j = 7; j < bias.size; ++j) EXPECT_EQ(bias(j), log_var) << variance;
    for (const float own : vae.own(View<const float, 1>(flat.data(), vae.table().size())))
      EXPECT_EQ(own, log_var) << variance;
  }
}

// p(x|z = 0) has the mean and the variance of the data, by the formulas for each family's.
TEST(InitialParameters, OtherLikelihoodsStartAtTheDatasMoments) {
  const auto bias_of = [](const char* family, const DataMoments& moments, std::int64_t j) {
    const Vae vae(config_of(family, "per-element"));
    const std::vector<float> flat = initial_parameters(vae, moments, 3);
    return static_cast<double>(tensor(vae, flat, "decoder.2.bias")(j));
  };
  const DataMoments grey{{0.2, 0.5, 0.9, 0.3, 0.5, 0.1, 0.75}, 0.04};
  for (std::int64_t j = 0; j < 7; ++j) {
    const double mean = grey.mean[static_cast<std::size_t>(j)];
    for (const char* family : {"laplace", "student-t", "discretized-logistic"}) {
      EXPECT_NEAR(bias_of(family, grey, j), mean, 1e-7) << family;
    }
    const double l = bias_of("continuous-bernoulli", grey, j);
    EXPECT_NEAR(std::abs(l) < 1e-5 ? 0.5 : 1 / (1 - std::exp(-l)) - 1 / l, mean, 1e-6);
  }
  EXPECT_NEAR(2 * std::exp(bias_of("laplace", grey, 7)), 0.04, 1e-7);
  EXPECT_NEAR(5.0 / 3 * std::exp(bias_of("student-t", grey, 7)), 0.04, 1e-7);
  const DataMoments wider{grey.mean, 0.09};  // inside the clamp
  EXPECT_NEAR(bias_of("discretized-logistic", wider, 7), std::log(0.09 * 3 / std::pow(std::acos(-1.0), 2)),
              1e-6);

  const DataMoments counts{{0, 1, 2, 3, 4, 5, 6}, 30};
  EXPECT_NEAR(bias_of("poisson", counts, 0), std::log(1e-3), 1e-6);
  EXPECT_NEAR(bias_of("poisson", counts, 4), std::log(4.0), 1e-6);
  EXPECT_NEAR(bias_of("negative-binomial", counts, 4), std::log(4.0), 1e-6);
  EXPECT_EQ(bias_of("negative-binomial", counts, 7), 0.0);  // a dispersion of 1 at most
  DataMoments even = counts;
  even.variance = 3 + 13 * 0.25;
  EXPECT_NEAR(bias_of("negative-binomial", even, 7), std::log(0.25), 1e-6);
  const double extra = 1 / (1 + std::exp(-bias_of("zero-inflated-negative-binomial", counts, 7)));
  EXPECT_NEAR((1 - extra) * std::exp(bias_of("zero-inflated-negative-binomial", counts, 4)), 4, 1e-5);
  EXPECT_NEAR(bias_of("zero-inflated-negative-binomial", even, 14), std::log(0.25), 1e-6);
}

// p(x|z = 0) is the data's: shares of levels beside one another, and the columns' shares of a row.
TEST(InitialParameters, SoftmaxesStartAtTheDatasShares) {
  VaeConfig c = config_of();
  c.likelihood = likelihood_from_names("categorical", "unit", {}, 5, 3);
  DataMoments moments = kMoments;
  for (int i = 0; i < 21; ++i) moments.level_shares.push_back(0.01 * (i + 1));
  const Vae levels(c);
  EXPECT_EQ(levels.decoder().out(), 21);
  std::vector<float> flat = initial_parameters(levels, moments, 3);
  for (std::int64_t i = 0; i < 21; ++i)
    EXPECT_EQ(tensor(levels, flat, "decoder.2.bias")(i), static_cast<float>(std::log(0.01 * double(i + 1))));
  EXPECT_THROW(initial_parameters(levels, kMoments, 3), std::invalid_argument);
  c.likelihood = likelihood_from_names("multinomial", "unit", {});
  const Vae shares(c);
  EXPECT_TRUE(shares.reads_log_counts());
  flat = initial_parameters(shares, {{0, 1, 2, 3, 4, 5, 6}, 30}, 3);
  EXPECT_NEAR(tensor(shares, flat, "decoder.2.bias")(4), std::log(4.0), 1e-6);
}

TEST(InitialParameters, LogVariancesStartWithinTheClamp) {
  const Vae vae(config_of("gaussian"));  // [-4, 5]
  for (const auto& [variance, want] :
       {std::pair{0.0, -4.0f}, std::pair{1e-30, -4.0f}, std::pair{1e9, 5.0f}}) {
    const std::vector<float> flat = initial_parameters(vae, {kMoments.mean, variance}, 3);
    EXPECT_EQ(tensor(vae, flat, "likelihood.log_var")(0), want) << variance;
  }
}

TEST(InitialParameters, RefuseMomentsOfOtherData) {
  try {
    initial_parameters(Vae(config_of()), {{0.5, 0.5}, 1.0}, 3);
    ADD_FAILURE();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "2 means for 7 dimensions");
  }
}

// --- The perceptron's passes; the step's test judges them within the whole.

TEST(Mlp, ForwardRunsTheLayersInTurn) {
  for (const Activation act : {Activation::kRelu, Activation::kGelu}) {
    ParameterTable table;
    const Mlp mlp(table, "net", 6, {9, 4}, 3, act);
    EXPECT_EQ(mlp.in(), 6);
    EXPECT_EQ(mlp.out(), 3);
    std::vector<float> flat(static_cast<std::size_t>(table.size()));
    test::fill_normal({flat.data(), 1, table.size()}, 5, 0.5f);
    std::vector<float> x(5 * 6);
    test::fill_normal({x.data(), 5, 6}, 6);
    const CpuExec exec(2);
    const MlpWorkspace<CpuExec> work(exec, mlp, 8, false);  // more rows than are used
    const View<const float, 1> parameters{flat.data(), table.size()};
    forward(exec, mlp, parameters, table, View<const float, 2>(x.data(), 5, 6), work);
    std::vector<double> want(x.begin(), x.end());
    int in = 6;
    for (const auto& [name, out, last] :
         {std::tuple{"net.0", 9, false}, {"net.1", 4, false}, {"net.2", 3, true}}) {
      const std::string prefix = name;
      std::vector<double> weight, bias;
      for (const ParameterEntry& entry : table.entries()) {
        if (!entry.name.starts_with(prefix)) continue;
        auto& into = entry.shape.size() == 2 ? weight : bias;
        for (const float v : vector_of(parameters, entry)) into.push_back(v);
      }
      want = reference::affine<double>(want, weight, bias, 5, in, out).value;
      if (!last) {
        for (double& v : want) v = reference::activation(act, v);
      }
      in = out;
    }
    // Three layers of sums of up to 10 terms of size 1: 32 roundings are ample; a wrong wire is of size 1.
    test::Parity parity;
    parity.compare("result", work.result(mlp, 5), want, 32 * test::kEps);
    FELBO_EXPECT_PARITY(parity);
  }
}

// Without parameters' gradients the one by x has the same bits.
TEST(Mlp, BackwardToTheInputAlone) {
  ParameterTable table;
  const Mlp mlp(table, "net", 6, {9, 4}, 3, Activation::kTanh);
  std::vector<float> flat(static_cast<std::size_t>(table.size())), x(5 * 6), grad_y(5 * 3), gradients(flat);
  test::fill_normal({flat.data(), 1, table.size()}, 5, 0.5f);
  test::fill_normal({x.data(), 5, 6}, 6);
  test::fill_normal({grad_y.data(), 5, 3}, 7);
  const CpuExec exec(2);
  const MlpWorkspace<CpuExec> work(exec, mlp, 8, true);
  const View<const float, 1> parameters{flat.data(), table.size()};
  forward(exec, mlp, parameters, table, View<const float, 2>(x.data(), 5, 6), work);
  std::vector<float> with(5 * 6), without(5 * 6);
  backward(exec, mlp, parameters, table, View<const float, 2>(x.data(), 5, 6), work,
           View<const float, 2>(grad_y.data(), 5, 3), View<float, 1>(gradients.data(), table.size()),
           View<float, 2>(with.data(), 5, 6));
  backward(exec, mlp, parameters, table, View<const float, 2>(x.data(), 5, 6), work,
           View<const float, 2>(grad_y.data(), 5, 3), {}, View<float, 2>(without.data(), 5, 6));
  EXPECT_EQ(with, without);
  EXPECT_NE(with, std::vector<float>(5 * 6));
}

}  // namespace
}  // namespace felbo
