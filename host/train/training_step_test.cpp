#include "host/train/training_step.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cfloat>
#include <functional>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include "host/check/training_step_bound.h"
#include "host/train/training_step_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::kEps;
using test::Parity;
using Values = std::vector<double>;

// --- The models and data that steps are taken on

constexpr std::int64_t kDataRows = 13, kDimensions = 19, kLatent = 3, kBatch = 7;

struct Case {
  std::vector<std::int64_t> hidden;
  Activation activation = Activation::kRelu;
  std::string likelihood = "bernoulli", variance = "learned";
  int samples = 1;
  float beta = 1.0f;
  Binarize binarize = Binarize::kNone;
  LogVarClamp clamp;
  TrainingObjective objective = TrainingObjective::kElbo;
  float free_bits = 0.0f;
};

std::string label(const Case& c) {
  return fmt::format("{} {} {} layers {} S {} beta {} binarize {} objective {} free bits {}", c.likelihood,
                     c.variance, c.hidden.size(), name_of(c.activation), c.samples, c.beta,
                     static_cast<int>(c.binarize), static_cast<int>(c.objective), c.free_bits);
}

bool is_count(const Case& c) { return c.likelihood == "poisson" || c.likelihood.ends_with("binomial"); }

/// Bytes for a Bernoulli, normals for a Gaussian, 0, 1, 2, ... for counts.
DataPart data_of(const Case& c) {
  DataPart part{
      .rows = kDataRows, .cols = kDimensions, .shape = {}, .bytes = {}, .floats = {}, .exact_log_px = {}};
  std::vector<float> values(kDataRows * kDimensions);
  test::fill_normal({values.data(), kDataRows, kDimensions}, 7);
  if (c.likelihood == "gaussian") {
    part.floats = values;
  } else if (is_count(c)) {
    for (const float v : values) part.floats.push_back(std::floor(std::exp(1.5f * std::abs(v))) - 1.0f);
  } else {
    for (const float v : values)
      part.bytes.push_back(static_cast<std::uint8_t>(std::clamp(v * 90 + 128, 0.0f, 255.0f)));
  }
  return part;
}

Vae vae_of(const Case& c) {
  return Vae({.dimensions = kDimensions,
              .latent = kLatent,
              .hidden = c.hidden,
              .activation = c.activation,
              .likelihood = likelihood_from_names(c.likelihood, c.variance, c.clamp),
              .clamp = c.clamp});
}

/// Every parameter a normal: weights by 1 / sqrt(in), the rest by 0.4; the padding stays 0.
void fill_parameters(const Vae& vae, View<float, 1> flat) {
  std::uint64_t seed = 100;
  for (const ParameterEntry& entry : vae.table().entries()) {
    const float scale = entry.shape.size() == 2 ? 1.0f / std::sqrt(static_cast<float>(entry.shape[0])) : 0.4f;
    test::fill_normal(matrix_of(flat, entry), ++seed, scale);
  }
}

void initialise(const test::ExecType& exec, const Vae& vae, ModelState<test::ExecType>& state) {
  std::vector<float> flat(static_cast<std::size_t>(vae.table().size()));
  fill_parameters(vae, {flat.data(), vae.table().size()});
  upload(exec, flat, state.parameters.view());
}

/// One step on `rows`.
template <class T>
void take(TrainingStep<test::ExecType, T>& step, const std::vector<std::uint32_t>& rows) {
  step.begin(rows, std::vector<StepRates>{{1e-3}});
  step();
}

// --- The comparison

/// A model in training, judged step by step: each step against the reference on the state it started from.
template <class T>
class JudgeOf {
 public:
  JudgeOf(const Case& c, int threads)
      : case_(c),
        exec_(test::open_exec(threads)),
        part_(data_of(c)),
        data_(exec_, part_),
        vae_(vae_of(c)),
        state_(exec_, vae_),
        options_{.max_batch = kBatch,
                 .samples = c.samples,
                 .objective = c.objective,
                 .free_bits = c.free_bits,
                 .binarize = c.binarize,
                 .seed = 0x123456789abcdef0u},
        step_(exec_, vae_, data_, state_, options_) {
    initialise(exec_, vae_, state_);
  }

  /// Takes a step on `rows` and compares everything that it gives.
  void step(const std::vector<std::uint32_t>& rows, float lr, Parity& parity) {
    step_.begin(rows, std::vector<StepRates>{{lr, case_.beta}});
    judge(rows, lr, parity);
  }
  /// The same for each step of an epoch over `order`.
  void epoch(const std::vector<std::uint32_t>& order, const std::vector<double>& rates, Parity& parity) {
    std::vector<StepRates> with_beta;
    for (const double lr : rates) with_beta.push_back({lr, case_.beta});
    step_.begin(order, with_beta);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const auto first = order.begin() + static_cast<std::int64_t>(i) * kBatch;
      const auto left = order.end() - first;
      judge({first, first + std::min(left, kBatch)}, static_cast<float>(rates[i]), parity);
    }
  }

  /// Largest error of a gradient as a share of its tolerance.
  double worst_gradient() const { return worst_gradient_; }
  /// Changes what the reference believes: for the tests that must go red.
  TrainingStepOptions& options() { return options_; }
  double& believed_beta() { return believed_beta_; }
  ModelState<test::ExecType>& state() { return state_; }
  TrainingStep<test::ExecType, T>& training_step() { return step_; }
  Values gradient() const { return doubles(step_.gradient()); }

 private:
  Values doubles(View<const float, 1> values) const {
    const std::vector<float> host = to_host(exec_, values);
    return {host.begin(), host.end()};
  }

  /// Takes the step laid out, on `rows`.
  void judge(const std::vector<std::uint32_t>& rows, float lr, Parity& parity) {
    const reference::StepInput<double> in{
        &vae_, &part_, options_, rows, state_.step, doubles(state_.parameters.view()), {lr, believed_beta_}};
    const checks::ExpectedStep expected(
        in, doubles(state_.m.view()), doubles(state_.v.view()),
        std::is_same_v<T, float> ? checks::Storage::kFloat : checks::Storage::kBFloat16);
    step_();
    expected.judge_gradient(parity, to_host(exec_, step_.gradient()));
    worst_gradient_ = std::max(worst_gradient_, parity.worst());
    expected.judge_state(parity, doubles(state_.parameters.view()), doubles(state_.m.view()),
                         doubles(state_.v.view()));
    expected.judge_totals(parity, step_.take_totals());
  }

  Case case_;
  double believed_beta_ = case_.beta;
  test::ExecHandle exec_;
  DataPart part_;
  ResidentData<test::ExecType> data_;
  Vae vae_;
  ModelState<test::ExecType> state_;
  TrainingStepOptions options_;
  TrainingStep<test::ExecType, T> step_;
  double worst_gradient_ = 0;
};

using Judge = JudgeOf<float>;

/// The last batch of an epoch is a smaller one.
const std::vector<std::uint32_t> kFirstBatch{3, 0, 12, 7, 5, 1, 9}, kLastBatch{11, 2, 6};

/// Two steps. Returns the largest error of a gradient in the first as a share of its tolerance.
template <class T = float>
double expect_parity(const Case& c) {
  SCOPED_TRACE(label(c));
  JudgeOf<T> judge(c, 2);
  Parity parity;
  judge.step(kFirstBatch, 1e-2f, parity);
  const double worst = judge.worst_gradient();
  judge.step(kLastBatch, 5e-3f, parity);
  FELBO_EXPECT_PARITY(parity);
  return worst;
}

std::vector<Case> families() {
  std::vector<Case> cases;
  cases.push_back({.likelihood = "bernoulli"});
  for (const char* variance : {"unit", "fixed:0.3", "learned", "per-dimension", "per-element"})
    cases.push_back({.likelihood = "gaussian", .variance = variance});
  return cases;
}

TEST(TrainingStep, EveryGradientAndParameterMatchesTheReference) {
  double worst = 0;
  for (Case c : families()) {
    for (const int samples : {1, 3}) {
      for (const float beta : {1.0f, 0.5f}) {
        c.samples = samples, c.beta = beta;
        std::vector<Case> models{c};
        for (const Activation act :
             {Activation::kRelu, Activation::kTanh, Activation::kGelu, Activation::kSoftplus}) {
          c.activation = act;
          for (const std::vector<std::int64_t>& hidden : {std::vector<std::int64_t>{17}, {17, 9}}) {
            c.hidden = hidden;
            models.push_back(c);
          }
        }
        c.hidden.clear();
        for (const Case& model : models) {
          worst = std::max(worst, expect_parity(model));
        }
      }
    }
  }
  RecordProperty("worst_share_of_tolerance", std::to_string(worst));
  EXPECT_GT(worst, 0.01);  // an error analysis gone wild would allow anything
}

/// Every objective but the plain ELBO, which families() has.
std::vector<Case> objectives() {
  std::vector<Case> cases;
  for (const Case& family : families()) {
    for (const TrainingObjective objective : {TrainingObjective::kElboMc, TrainingObjective::kStl,
                                              TrainingObjective::kIwae, TrainingObjective::kDreg}) {
      Case c = family;
      c.objective = objective;
      c.beta = has_importance_weights(objective) ? 1.0f : 0.5f;
      cases.push_back(c);
    }
    Case c = family;
    c.free_bits = 0.25f;  // of the three dimensions some pay, some do not
    c.beta = 0.5f;
    cases.push_back(c);
  }
  return cases;
}

TEST(TrainingStep, EveryObjectiveMatchesTheReference) {
  double worst = 0;
  for (Case c : objectives()) {
    for (const int samples : {1, 5}) {
      c.samples = samples;
      for (const Activation act : {Activation::kRelu, Activation::kTanh}) {
        c.activation = act;
        c.hidden = act == Activation::kTanh ? std::vector<std::int64_t>{17, 9} : std::vector<std::int64_t>{};
        worst = std::max(worst, expect_parity(c));
      }
    }
  }
  RecordProperty("worst_share_of_tolerance", std::to_string(worst));
  EXPECT_GT(worst, 0.01);
}

// Some of the posterior's log-variances are held by the clamp.
TEST(TrainingStep, EveryObjectiveStopsGradientsAtTheClamp) {
  for (Case c : objectives()) {
    c.clamp = {-0.3f, 0.2f};
    c.hidden = {17};
    c.samples = 3;
    expect_parity(c);
  }
}

// With one sample the importance weight is 1, and the bound the ELBO by samples.
TEST(TrainingStep, OneImportanceSampleIsTheElbo) {
  Case iwae{.hidden = {17}, .objective = TrainingObjective::kIwae}, elbo_mc = iwae;
  elbo_mc.objective = TrainingObjective::kElboMc;
  Judge a(iwae, 1), b(elbo_mc, 1);
  take(a.training_step(), kFirstBatch);
  take(b.training_step(), kFirstBatch);
  EXPECT_EQ(a.gradient(), b.gradient());
}

// The likelihood sees the counts, the encoder their logarithms.
TEST(TrainingStep, CountsMatchTheReference) {
  for (const char* likelihood : {"poisson", "negative-binomial"}) {
    for (const std::vector<std::int64_t>& hidden : {std::vector<std::int64_t>{}, {17}}) {
      for (const TrainingObjective objective : {TrainingObjective::kElbo, TrainingObjective::kIwae}) {
        expect_parity({.hidden = hidden,
                       .activation = Activation::kTanh,
                       .likelihood = likelihood,
                       .variance = "unit",
                       .samples = 2,
                       .objective = objective});
      }
    }
  }
}

TEST(TrainingStep, BinarisedDataMatchTheReference) {
  for (const Binarize binarize : {Binarize::kNone, Binarize::kThreshold, Binarize::kDynamic}) {
    for (const std::vector<std::int64_t>& hidden : {std::vector<std::int64_t>{}, {17}}) {
      const Case c{.hidden = hidden, .activation = Activation::kTanh, .samples = 2, .binarize = binarize};
      expect_parity(c);
    }
  }
}

// A device runs the first step of a batch size op by op, records the second and replays it from then on: each
// must see its own rows, noise, rate and share of the KL, in batches of both sizes.
TEST(TrainingStep, EveryStepOfSeveralEpochsMatchesTheReference) {
  const Case c{.hidden = {17}, .samples = 2, .beta = 0.5f, .binarize = Binarize::kDynamic};
  Judge judge(c, 2);
  std::vector<std::uint32_t> order(kDataRows);
  std::iota(order.begin(), order.end(), 0u);
  for (const std::vector<double>& rates :
       {std::vector{1e-2, 5e-3}, {2e-2, 1e-3}, {1e-3, 1e-2}, {4e-3, 3e-3}}) {
    std::ranges::rotate(order, order.begin() + 5);
    Parity parity;
    judge.epoch(order, rates, parity);
    FELBO_EXPECT_PARITY(parity);
  }
  EXPECT_EQ(judge.state().step, 8);
}

#if defined(FELBO_TEST_CUDA)

TEST(TrainingStep, CountsInBFloat16MatchTheReference) {
  const Case c{.hidden = {17}, .activation = Activation::kTanh, .likelihood = "poisson", .variance = "unit"};
  expect_parity<BFloat16>(c);
}

TEST(TrainingStep, EveryObjectiveInBFloat16MatchesTheReference) {
  for (Case c : objectives()) {
    c.hidden = {17};
    c.activation = Activation::kTanh;
    c.samples = 3;
    expect_parity<BFloat16>(c);
  }
}

TEST(TrainingStep, BFloat16MatchesTheReference) {
  double worst = 0;
  for (Case c : families()) {
    for (const int samples : {1, 3}) {
      c.samples = samples, c.beta = samples == 1 ? 1.0f : 0.5f;
      c.hidden.clear();
      worst = std::max(worst, expect_parity<BFloat16>(c));
      for (const Activation act :
           {Activation::kRelu, Activation::kTanh, Activation::kGelu, Activation::kSoftplus}) {
        c.activation = act;
        for (const std::vector<std::int64_t>& hidden : {std::vector<std::int64_t>{17}, {17, 9}}) {
          c.hidden = hidden;
          worst = std::max(worst, expect_parity<BFloat16>(c));
        }
      }
    }
  }
  RecordProperty("worst_share_of_tolerance", std::to_string(worst));
  EXPECT_GT(worst, 0.01);
}

// Replayed steps read the parameters that the step before them has rounded.
TEST(TrainingStep, EveryBFloat16StepOfSeveralEpochsMatchesTheReference) {
  const Case c{.hidden = {17}, .activation = Activation::kTanh, .samples = 2, .binarize = Binarize::kDynamic};
  JudgeOf<BFloat16> judge(c, 1);
  std::vector<std::uint32_t> order(kDataRows);
  std::iota(order.begin(), order.end(), 0u);
  for (int epoch = 0; epoch < 3; ++epoch) {
    Parity parity;
    judge.epoch(order, {5e-2, 4e-2}, parity);
    FELBO_EXPECT_PARITY(parity);
  }
}

TEST(TrainingStep, AWrongArgumentIsSeenInBFloat16) {
  const Case c{.hidden = {17}, .activation = Activation::kTanh, .beta = 0.5f, .binarize = Binarize::kDynamic};
  for (const int wrong : {0, 1, 2, 3}) {
    JudgeOf<BFloat16> judge(c, 1);
    if (wrong == 1) judge.options().seed += 1;
    if (wrong == 2) judge.believed_beta() = 1.0;
    if (wrong == 3) judge.options().binarize = Binarize::kThreshold;
    Parity parity;
    judge.step(kFirstBatch, 1e-2f, parity);
    EXPECT_EQ(parity.ok(), wrong == 0) << wrong << " " << parity.report();
  }
}

#endif

// Bounds so narrow that they hold some of the log-variances of the posterior and of the likelihood, not all.
TEST(TrainingStep, ANarrowClampHoldsCountsAndStopsGradients) {
  for (Case c : families()) {
    c.clamp = {-0.3f, 0.2f};
    c.hidden = {17};
    c.samples = 3;
    expect_parity(c);
    Judge open(c, 1);
    take(open.training_step(), kFirstBatch);
    const std::int64_t clamped = open.training_step().totals().clamped;
    EXPECT_GT(clamped, 0);
    EXPECT_LT(clamped, 7 * kLatent + 7 * 3 * kDimensions);
  }
}

/// Parameters and moments after three steps of a model large enough that every op splits its work.
std::vector<float> train_larger(const Case& c, int threads) {
  constexpr std::int64_t kRows = 97, kCols = 301, kAtOnce = 64;
  const test::ExecHandle exec = test::open_exec(threads);
  DataPart part{.rows = kRows, .cols = kCols, .floats = std::vector<float>(kRows * kCols)};
  test::fill_normal({part.floats.data(), kRows, kCols}, 11, 0.1f, 0.5f);
  const ResidentData<test::ExecType> data(exec, part);
  VaeConfig config = vae_of(c).config();
  config.dimensions = kCols;
  config.latent = 33;
  const Vae vae(config);
  ModelState<test::ExecType> state(exec, vae);
  initialise(exec, vae, state);
  TrainingStep<test::ExecType> step(exec, vae, data, state,
                                    {.max_batch = kAtOnce,
                                     .samples = c.samples,
                                     .objective = c.objective,
                                     .free_bits = c.free_bits,
                                     .binarize = c.binarize,
                                     .seed = 3});
  std::vector<std::uint32_t> rows(kRows);
  std::iota(rows.begin(), rows.end(), 0u);
  step.begin(rows, std::vector<StepRates>(2));
  step();
  step();
  take(step, {rows.begin() + 20, rows.begin() + 20 + kAtOnce});
  std::vector<float> all;
  for (const auto* buffer : {&state.parameters, &state.m, &state.v}) {
    const std::vector<float> values = to_host(exec, buffer->view());
    all.insert(all.end(), values.begin(), values.end());
  }
  const TrainingTotals totals = step.totals();
  for (const double sum : {totals.elbo, totals.kl, totals.log_px_given_z, totals.bound}) {
    for (const float half : std::bit_cast<std::array<float, 2>>(sum)) all.push_back(half);
  }
  return all;
}

TEST(TrainingStep, ThreadsDoNotChangeABit) {
  std::vector<Case> cases = families();
  const std::vector<Case> more = objectives();
  cases.insert(cases.end(), more.begin(), more.begin() + 5);
  for (Case c : cases) {
    c.hidden = {130, 70};
    c.activation = Activation::kGelu;
    c.samples = 3;
    c.binarize = c.likelihood == "bernoulli" ? Binarize::kDynamic : Binarize::kNone;
    const std::vector<float> one = train_larger(c, 1);
    for (const int threads : {2, 3, 5}) {
      const std::vector<float> other = train_larger(c, threads);
      ASSERT_EQ(other.size(), one.size());
      EXPECT_EQ(std::memcmp(other.data(), one.data(), one.size() * sizeof(float)), 0)
          << label(c) << ", " << threads << " threads";
    }
  }
}

// The batch names the noise by the data's rows: their order moves sums by rounding alone.
TEST(TrainingStep, TheOrderOfABatchDoesNotMatter) {
  const Case c{.hidden = {17}, .activation = Activation::kTanh, .samples = 3, .binarize = Binarize::kDynamic};
  Judge forward(c, 2), backward(c, 2);
  Parity unused;
  forward.step(kFirstBatch, 1e-2f, unused);
  backward.step({kFirstBatch.rbegin(), kFirstBatch.rend()}, 1e-2f, unused);
  const Values a = forward.gradient(), b = backward.gradient();
  double largest = 0;
  for (const double g : a) largest = std::max(largest, std::abs(g));
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 32 * kEps * largest);
}

TEST(TrainingStep, TotalsAddUpUntilTheyAreTaken) {
  const Case c{.hidden = {17}};
  Judge one(c, 1), two(c, 1);
  auto& a = one.training_step();
  auto& b = two.training_step();
  TrainingTotals sum;
  for (const auto& rows : {kFirstBatch, kLastBatch}) {
    take(a, rows);
    take(b, rows);
    const TrainingTotals part = a.take_totals();
    sum.elbo += part.elbo, sum.kl += part.kl, sum.log_px_given_z += part.log_px_given_z;
    sum.count += part.count;
  }
  for (const TrainingTotals& whole : {b.totals(), b.take_totals()}) {
    EXPECT_DOUBLE_EQ(whole.elbo, sum.elbo);
    EXPECT_DOUBLE_EQ(whole.kl, sum.kl);
    EXPECT_DOUBLE_EQ(whole.log_px_given_z, sum.log_px_given_z);
    EXPECT_EQ(whole.count, 10);
  }
  EXPECT_EQ(b.totals().count, 0);
  EXPECT_EQ(b.totals().elbo, 0.0);
  EXPECT_EQ(two.state().step, 2);
}

// What the reference is told wrongly must show: each of these is a bug that a step could have.
TEST(TrainingStep, AWrongArgumentIsSeen) {
  using Change = std::function<void(Judge&)>;
  const std::vector<std::pair<const char*, Change>> changes{
      {"beta", [](Judge& j) { j.believed_beta() = 1.0; }},
      {"seed", [](Judge& j) { j.options().seed += 1; }},
      {"objective", [](Judge& j) { j.options().objective = TrainingObjective::kElboMc; }},
      {"free bits", [](Judge& j) { j.options().free_bits = 0.2f; }},
      {"binarize", [](Judge& j) { j.options().binarize = Binarize::kThreshold; }},
      {"adam beta1", [](Judge& j) { j.options().adam_beta1 = 0.91f; }},
      {"adam beta2", [](Judge& j) { j.options().adam_beta2 = 0.99f; }},
      {"adam epsilon", [](Judge& j) { j.options().adam_epsilon = 1e-5f; }},
      {"nothing", [](Judge&) {}},
  };
  const Case c{.hidden = {17}, .samples = 3, .beta = 0.5f, .binarize = Binarize::kDynamic};
  for (const auto& [name, change] : changes) {
    Judge judge(c, 1);
    change(judge);
    Parity parity;
    judge.step(kFirstBatch, 1e-2f, parity);
    EXPECT_EQ(parity.ok(), std::string(name) == "nothing") << name;
  }
}

/// A Gaussian model in training whose row 6, of kLastBatch alone, holds a value that is no number.
struct SpoiledTraining {
  SpoiledTraining(float value, const TrainingStepOptions& options, int threads)
      : exec(test::open_exec(threads)), part(spoiled_part(value)), data(exec, part), state(exec, vae) {
    initialise(exec, vae, state);
    TrainingStepOptions all = options;
    all.max_batch = kBatch;
    all.track_norm = true;
    step.emplace(exec, vae, data, state, all);
  }
  static DataPart spoiled_part(float value) {
    DataPart part = data_of({.likelihood = "gaussian"});
    part.floats[6 * kDimensions + 4] = value;
    return part;
  }
  std::vector<float> values() const {
    std::vector<float> all;
    for (const auto* buffer : {&state.parameters, &state.m, &state.v}) {
      const std::vector<float> part = to_host(exec, buffer->view());
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }

  test::ExecHandle exec;
  DataPart part;
  ResidentData<test::ExecType> data;
  Vae vae = vae_of({.hidden = {17}, .likelihood = "gaussian"});
  ModelState<test::ExecType> state;
  std::optional<TrainingStep<test::ExecType>> step;
};

bool same_floats(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

const float kNoNumbers[] = {std::nanf(""), HUGE_VALF,
                            -1e30f};  // the square of the last has no room in a float

TEST(TrainingStep, AStepThatIsNotFiniteIsNotTakenNorAnyAfterIt) {
  for (const float value : kNoNumbers) {
    SCOPED_TRACE(value);
    SpoiledTraining t(value, {}, 2);
    take(*t.step, kFirstBatch);
    const std::vector<float> before = t.values();
    const TrainingTotals good = t.step->totals();
    EXPECT_EQ(good.bad.step, -1);
    EXPECT_EQ(good.steps, 1);
    EXPECT_GT(good.norm_sum, 0.0);
    EXPECT_EQ(good.norm_max, good.norm_sum);
    for (const auto& rows : {kLastBatch, kFirstBatch, kLastBatch}) {
      take(*t.step, rows);
      EXPECT_TRUE(same_floats(t.values(), before));
    }
    const TrainingTotals totals = t.step->totals();
    EXPECT_EQ(totals.bad.step, 1);
    EXPECT_FALSE(std::isfinite(totals.bad.elbo));
    EXPECT_EQ(totals.elbo, good.elbo);
    EXPECT_EQ(totals.norm_sum, good.norm_sum);
    EXPECT_EQ(totals.count, kBatch);
    EXPECT_EQ(totals.skipped_steps, 0);
  }
}

TEST(TrainingStep, SkippedStepsChangeNothingAndLaterOnesGoOnWithTheSameBits) {
  for (const float value : kNoNumbers) {
    SCOPED_TRACE(value);
    std::vector<float> of_one_thread;
    for (const int threads : {1, 2, 3}) {
      SpoiledTraining t(value, {.on_non_finite = OnNonFinite::kSkip}, threads);
      take(*t.step, kFirstBatch);
      const std::vector<float> before = t.values();
      take(*t.step, kLastBatch);
      EXPECT_TRUE(same_floats(t.values(), before));
      take(*t.step, kFirstBatch);
      EXPECT_FALSE(same_floats(t.values(), before));
      const TrainingTotals totals = t.step->take_totals();
      EXPECT_EQ(totals.steps, 2);
      EXPECT_EQ(totals.count, 2 * kBatch);
      EXPECT_EQ(totals.skipped_steps, 1);
      EXPECT_EQ(totals.skipped_data, 3);
      EXPECT_EQ(totals.bad.step, 1);
      EXPECT_TRUE(std::isfinite(totals.elbo) && std::isfinite(totals.norm_sum));
      EXPECT_EQ(t.step->totals().bad.step, -1);
      if (threads == 1) of_one_thread = t.values();
      EXPECT_TRUE(same_floats(t.values(), of_one_thread)) << threads << " threads";
    }
  }
}

TEST(TrainingStep, TheNormIsTakenWhereItIsAskedFor) {
  EXPECT_FALSE(TrainingStepOptions().takes_norm());
  EXPECT_TRUE(TrainingStepOptions{.track_norm = true}.takes_norm());
  EXPECT_TRUE(TrainingStepOptions{.clip_norm = 1.0}.takes_norm());
  EXPECT_TRUE(TrainingStepOptions{.on_non_finite = OnNonFinite::kSkip}.takes_norm());
  Judge judge({.hidden = {17}}, 1);
  take(judge.training_step(), kFirstBatch);
  EXPECT_EQ(judge.training_step().totals().norm_max, 0.0);
  EXPECT_EQ(judge.training_step().totals().steps, 1);
}

// The first moment after the first step is (1 - beta1) times the gradient that Adam was given.
TEST(TrainingStep, TheGradientIsClippedByItsNorm) {
  for (const double share : {0.25, 2.0}) {
    SpoiledTraining free(0.0f, {}, 2);
    take(*free.step, kFirstBatch);
    const double norm = free.step->totals().norm_sum;
    SpoiledTraining clipped(0.0f, {.clip_norm = share * norm}, 2);
    take(*clipped.step, kFirstBatch);
    EXPECT_EQ(clipped.step->totals().norm_max, norm);
    EXPECT_EQ(clipped.step->totals().clipped_steps, share < 1 ? 1 : 0);
    const std::vector<float> given = to_host(clipped.exec, clipped.state.m.view()),
                             whole = to_host(free.exec, free.state.m.view());
    Parity parity;
    for (std::size_t i = 0; i < given.size(); ++i) {
      // The scale, the scaled gradient and each moment are rounded: half a kEps each.
      const double want = std::min(share, 1.0) * whole[i];
      parity.element("m", 0, static_cast<std::int64_t>(i), given[i], want,
                     2.5 * kEps * std::abs(want) + FLT_MIN);
    }
    FELBO_EXPECT_PARITY(parity);
    EXPECT_EQ(same_floats(clipped.values(), free.values()), share > 1);
  }
}

TEST(TrainingStep, TotalsAreRestored) {
  SpoiledTraining t(HUGE_VALF, {.clip_norm = 1e-3, .on_non_finite = OnNonFinite::kSkip}, 1);
  take(*t.step, kFirstBatch);
  take(*t.step, kLastBatch);
  const TrainingTotals want = t.step->take_totals();
  EXPECT_EQ(t.step->totals().steps, 0);
  t.step->restore_totals(want);
  const TrainingTotals got = t.step->totals();
  EXPECT_EQ(got.elbo, want.elbo);
  EXPECT_EQ(got.kl, want.kl);
  EXPECT_EQ(got.log_px_given_z, want.log_px_given_z);
  EXPECT_EQ(got.bound, want.bound);
  EXPECT_EQ(got.count, want.count);
  EXPECT_EQ(got.clamped, want.clamped);
  EXPECT_EQ(got.norm_sum, want.norm_sum);
  EXPECT_EQ(got.norm_max, want.norm_max);
  EXPECT_EQ(got.steps, 1);
  EXPECT_EQ(got.clipped_steps, 1);
  EXPECT_EQ(got.skipped_steps, 1);
  EXPECT_EQ(got.skipped_data, 3);
  EXPECT_EQ(got.bad.step, -1);
}

// The losses of the epoch need not show it.
TEST(TrainingStep, CountsTheParametersThatAreNoNumbers) {
  Judge judge({.hidden = {17}}, 1);
  EXPECT_EQ(judge.training_step().non_finite_parameters(), 0);
  View<float, 1> parameters = judge.state().parameters.view();
  upload(test::open_exec(1), std::vector{std::nanf(""), HUGE_VALF}, parameters.slice(5, 2));
  EXPECT_EQ(judge.training_step().non_finite_parameters(), 2);
  EXPECT_EQ(judge.training_step().non_finite_parameters(), 2);
  upload(test::open_exec(1), std::vector{HUGE_VALF}, judge.state().v.view().slice(3, 1));
  EXPECT_EQ(judge.training_step().non_finite_parameters(), 3);
}

TEST(TrainingStep, RefusesStepsAndDataThatDoNotFit) {
  const Case c;
  const test::ExecHandle exec = test::open_exec(1);
  DataPart part = data_of(c);
  const ResidentData<test::ExecType> data(exec, part);
  const Vae vae = vae_of(c);
  ModelState<test::ExecType> state(exec, vae);
  TrainingStep<test::ExecType> step(exec, vae, data, state, {.max_batch = 4});
  const auto refusal = [&](std::int64_t visits, std::size_t rates) -> std::string {
    try {
      step.begin(std::vector<std::uint32_t>(static_cast<std::size_t>(visits)), std::vector<StepRates>(rates));
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal(0, 0), "0 data are to be visited, there are 13");
  EXPECT_EQ(refusal(14, 4), "14 data are to be visited, there are 13");
  EXPECT_EQ(refusal(9, 2), "rates of 2 steps for 3 steps");
  EXPECT_THROW(step(), std::invalid_argument);
  EXPECT_EQ(refusal(5, 2), "accepted");
  EXPECT_EQ(step(), 4);
  EXPECT_EQ(step(), 1);
  EXPECT_THROW(step(), std::invalid_argument);
  EXPECT_EQ(state.step, 2);
  const Vae other({.dimensions = 1, .latent = 1});
  EXPECT_THROW(TrainingStep<test::ExecType>(exec, other, data, state, {}), std::invalid_argument);
  EXPECT_THROW(TrainingStep<test::ExecType>(exec, vae, data, state,
                                            {.objective = TrainingObjective::kIwae, .free_bits = 0.1f}),
               std::invalid_argument);
}

// --- The reference itself

// Its gradient against central differences of its own loss, in long double: h^2 / 6 times the third
// derivative is about 1e-9 of the gradient's size, rounding 1e-19 / h = 1e-14. relu is left out: it has
// kinks.
TEST(TrainingStepReference, GradientIsTheDerivativeOfTheLoss) {
  using Real = long double;
  const Real h = 1e-5L;
  std::vector<Case> cases = families();
  for (const Case& c : objectives()) {
    // Those of stl and dreg are no derivatives of their loss: they agree with it in expectation only.
    if (c.objective != TrainingObjective::kStl && c.objective != TrainingObjective::kDreg) cases.push_back(c);
  }
  for (Case c : cases) {
    for (const Activation act : {Activation::kTanh, Activation::kGelu, Activation::kSoftplus}) {
      c.activation = act;
      c.hidden = act == Activation::kTanh ? std::vector<std::int64_t>{3, 2} : std::vector<std::int64_t>{3};
      c.samples = 2;
      c.beta = has_importance_weights(c.objective) ? 1.0f : 0.7f;
      SCOPED_TRACE(label(c));
      DataPart part = data_of(c);
      part.cols = 4;
      part.rows = kDataRows * kDimensions / 4;
      VaeConfig config = vae_of(c).config();
      config.dimensions = 4;
      config.latent = 2;
      const Vae vae(config);
      std::vector<float> flat(static_cast<std::size_t>(vae.table().size()));
      fill_parameters(vae, {flat.data(), vae.table().size()});
      const TrainingStepOptions options{
          .samples = 2, .objective = c.objective, .free_bits = c.free_bits, .seed = 5};
      reference::StepInput<Real> in{
          &vae, &part, options, {4, 0, 2}, 3, {flat.begin(), flat.end()}, {.beta = double{c.beta}}};
      const auto gradient = reference::step(in).gradient;
      for (const ParameterEntry& entry : vae.table().entries()) {
        for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i) {
          const Real value = in.parameters[std::size_t(i)];
          in.parameters[std::size_t(i)] = value + h;
          const Real above = reference::step_forward(in).loss;
          in.parameters[std::size_t(i)] = value - h;
          const Real below = reference::step_forward(in).loss;
          in.parameters[std::size_t(i)] = value;
          const Real difference = (above - below) / (2 * h);
          ASSERT_NEAR(gradient[std::size_t(i)], difference, 1e-7L * (1 + std::abs(difference)))
              << entry.name << " " << i - entry.offset;
        }
      }
    }
  }
}

}  // namespace
}  // namespace felbo
