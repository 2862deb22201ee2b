#include "host/forensics/replay_step.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "host/check/inputs.h"
#include "host/oracle/spoiled_exec.h"
#include "host/train/shuffle.h"
#include "host/train/training_step_reference.h"

namespace felbo {
namespace {

constexpr float kNanF = std::numeric_limits<float>::quiet_NaN();

VaeConfig config_of(const std::string& likelihood, Activation activation) {
  return {.dimensions = 6,
          .latent = 2,
          .hidden = {5, 4},
          .activation = activation,
          .likelihood = likelihood_from_names(likelihood, "learned", {})};
}

/// A small Gaussian model before its step 5, with the data that it is trained on.
struct Scene {
  explicit Scene(const std::string& likelihood = "gaussian", Activation activation = Activation::kTanh,
                 TrainingObjective objective = TrainingObjective::kElbo)
      : Scene(config_of(likelihood, activation), objective) {}
  Scene(const VaeConfig& config, TrainingObjective objective) : vae(config), state(CpuExec(1), vae) {
    part.rows = 20, part.cols = 6;
    part.floats.resize(120);
    checks::fill_normal(View<float, 2>{part.floats.data(), 20, 6}, 1);
    checks::to_observations({part.floats.data(), 20, 6}, vae.config().likelihood);
    checks::fill_normal(View<float, 2>{state.parameters.data(), 1, vae.table().size()}, 2, 0.3f);
    state.step = 5;
    options.objective = objective;
    options.samples = 3;
    options.seed = 11;
  }
  StepAtHand at() const {
    return {vae, part, state, options, {3, 17, 8, 0, 12, 5, 9}, {.lr = 1e-3, .beta = 1.0}};
  }
  float& parameter(const std::string& name, std::int64_t i = 0) {
    return state.parameters.data()[reference::entry_of(vae, name).offset + i];
  }
  float& value(std::int64_t row, std::int64_t col) {
    return part.floats[static_cast<std::size_t>(row * 6 + col)];
  }
  Examination examine() const { return examine_step(at(), 2); }
  Verdict judge() const {
    return judge_step<float>(at(), examine(), take_float_step<float>(CpuExec(2), at()));
  }

  DataPart part;
  Vae vae;
  ModelState<CpuExec> state;
  TrainingStepOptions options;
};

TEST(ExamineStep, AFiniteStepShowsNothing) {
  const Scene scene;
  const Examination examination = scene.examine();
  EXPECT_FALSE(examination.first.has_value());
  ASSERT_EQ(examination.x.size(), 42u);
  for (std::size_t j = 0; j < 6; ++j) EXPECT_EQ(examination.x[6 + j], scene.part.floats[17 * 6 + j]);
  EXPECT_EQ(describe(examination, scene.at().rows), "op by op on the CPU all of it is finite");
}

/// What is made wrong, and what must be found.
struct Plant {
  const char* name;
  std::function<void(Scene&)> change;
  const char *op, *tensor;
  std::vector<std::int64_t> data;  // places in the batch
  Activation activation = Activation::kRelu;
};

TEST(ExamineStep, NamesTheOpTheTensorAndTheRowsOfTheFirstOne) {
  const std::vector<Plant> plants{
      {"a NaN in the data", [](Scene& s) { s.value(8, 4) = kNanF; }, "gather", "x", {2}},
      {"the data's product overflows",
       [](Scene& s) { s.value(12, 1) = 3e38f, s.parameter("encoder.0.weight", 5) = 100.0f; },
       "dense",
       "y of encoder.0",
       {4}},
      {"mu's square overflows",
       [](Scene& s) { s.parameter("encoder.2.bias", 0) = 1e30f; },
       "reparameterize",
       "kl",
       {0, 1, 2, 3, 4, 5, 6}},
      {"a layer of the decoder overflows",
       [](Scene& s) {
         s.parameter("decoder.1.bias") = 3.0f;
         for (int j = 0; j < 5; ++j) s.parameter("decoder.1.bias", j) = 3.0f;
         for (int i = 0; i < 30; ++i) s.parameter("decoder.2.weight", i) = 3e38f;
       },
       "dense",
       "y of decoder.2",
       {0, 1, 2, 3, 4, 5, 6}},
      {"the likelihood's square overflows",
       [](Scene& s) { s.value(0, 5) = 1e25f; },
       "likelihood",
       "log_px_given_z",
       {3},
       Activation::kTanh},
      {"a NaN among the parameters",
       [](Scene& s) { s.parameter("decoder.0.weight", 3) = kNanF; },
       "state",
       "decoder.0.weight",
       {}},
      {"an infinity among the moments",
       [](Scene& s) { s.state.v.data()[2] = HUGE_VALF; },
       "state",
       "adam.v.encoder.0.weight",
       {}},
  };
  for (const Plant& plant : plants) {
    SCOPED_TRACE(plant.name);
    Scene scene("gaussian", plant.activation);
    plant.change(scene);
    const Examination examination = scene.examine();
    ASSERT_TRUE(examination.first.has_value());
    EXPECT_EQ(examination.first->op, plant.op);
    EXPECT_EQ(examination.first->tensor, plant.tensor);
    EXPECT_EQ(examination.first->data, plant.data);
    EXPECT_GT(examination.first->count, 0);
    EXPECT_FALSE(std::isfinite(examination.first->value));
  }
}

TEST(ExamineStep, SaysItInWords) {
  Scene scene;
  scene.value(8, 4) = kNanF;
  EXPECT_EQ(describe(scene.examine(), scene.at().rows),
            "gather gave nan in x, for row 8 of the training data");
  Scene kl;
  kl.parameter("encoder.2.bias", 0) = 1e30f;
  EXPECT_EQ(describe(kl.examine(), kl.at().rows),
            "reparameterize gave inf in kl, for rows 3, 17, 8, 0, 12 and 2 more of the training data");
  Scene state;
  state.parameter("decoder.0.weight", 3) = -HUGE_VALF;
  EXPECT_EQ(describe(state.examine(), state.at().rows), "-inf stands in decoder.0.weight before the step");
}

// Finite everywhere, and yet no step: Adam squares it.
TEST(ExamineStep, FindsAGradientWithoutRoomForItsSquare) {
  Scene scene;
  scene.parameter("likelihood.log_var") = -19.0f;
  for (std::int64_t row = 0; row < 20; ++row)
    for (std::int64_t col = 0; col < 6; ++col) scene.value(row, col) = 3e13f;
  const Examination examination = scene.examine();
  ASSERT_TRUE(examination.first.has_value());
  EXPECT_EQ(examination.first->op, "guard_step");
  const Verdict verdict = scene.judge();
  EXPECT_EQ(verdict.blame, Blame::kModel);
  EXPECT_NE(verdict.why.find("the gradient has a norm of "), std::string::npos) << verdict.why;
}

// --- The verdict

TEST(JudgeStep, AGoodStepIsGood) {
  for (const char* likelihood : {"gaussian", "bernoulli", "laplace", "student-t", "discretized-logistic",
                                 "continuous-bernoulli", "poisson", "negative-binomial"}) {
    for (const TrainingObjective objective : {TrainingObjective::kElbo, TrainingObjective::kIwae}) {
      const Scene scene(likelihood, Activation::kTanh, objective);
      const Verdict verdict = scene.judge();
      EXPECT_EQ(verdict.blame, Blame::kNothing) << likelihood << ": " << verdict.why;
      EXPECT_TRUE(std::isfinite(verdict.elbo) && verdict.norm > 0);
    }
  }
}

TEST(JudgeStep, TheData) {
  Scene scene;
  scene.value(8, 4) = kNanF;
  EXPECT_EQ(scene.judge().blame, Blame::kData);
  EXPECT_EQ(scene.judge().why,
            "row 8, column 4 of the training data is nan, which the likelihood cannot observe");
  Scene unit("bernoulli");
  unit.value(17, 0) = 1.5f;
  EXPECT_EQ(unit.judge().blame, Blame::kData);
  Scene counts("poisson");
  counts.value(17, 0) = 0.5f;
  EXPECT_EQ(counts.judge().blame, Blame::kData);
}

TEST(JudgeStep, TheStateBeforeIt) {
  Scene scene;
  scene.parameter("encoder.0.bias") = kNanF;
  EXPECT_EQ(scene.judge().blame, Blame::kState);
}

TEST(JudgeStep, TheModelLeavesFloatsRange) {
  Scene large;  // finite in double
  large.value(0, 5) = 1e25f;
  const Verdict verdict = large.judge();
  EXPECT_EQ(verdict.blame, Blame::kModel) << verdict.why;
  EXPECT_NE(verdict.why.find("log p(x|z) is -"), std::string::npos) << verdict.why;
  EXPECT_NE(verdict.why.find("for row 0 of the training data"), std::string::npos) << verdict.why;
  Scene parameter;
  parameter.parameter("encoder.2.bias", 0) = 1e38f;
  EXPECT_EQ(parameter.judge().blame, Blame::kModel);
  EXPECT_NE(parameter.judge().why.find("the KL is "), std::string::npos) << parameter.judge().why;
}

TEST(JudgeStep, TheRateMovesParametersBeyondFloatsRange) {
  for (const std::int64_t steps : {5, 400}) {
    Scene scene;
    scene.state.step = steps;
    // At the 401st step moments that have stood still move a parameter by about a rate and a half.
    for (float& m : scene.state.m.host()) m = 1.0f;
    for (float& v : scene.state.v.host()) v = 0.1f;
    StepAtHand at = scene.at();
    at.rates.lr = 3e38;
    const Examination examination = examine_step(at, 1);
    ASSERT_TRUE(examination.first.has_value());
    EXPECT_EQ(examination.first->op, "adam");
    EXPECT_EQ(examination.first->tensor, "parameter");
    const FloatStep step = take_float_step<float>(CpuExec(1), at);
    EXPECT_GT(step.spoiled, 0);
    const Verdict verdict = judge_step<float>(at, examination, step);
    EXPECT_EQ(verdict.blame, Blame::kModel) << verdict.why;
    EXPECT_NE(verdict.why.find(steps == 5 ? "Adam's rate" : "Adam moves "), std::string::npos) << verdict.why;
  }
}

/// The verdict where one op gives something wrong.
Verdict judge_spoiled(const Spoil& spoil) {
  const Scene scene;
  return judge_step<float>(scene.at(), scene.examine(),
                           take_float_step<float>(SpoiledExec(spoil), scene.at()));
}

TEST(JudgeStep, AKernelThatGivesNan) {
  Spoil spoil;
  spoil.dense = [](const DenseArgs& a) { a.y(2, 1) = kNanF; };
  const Verdict verdict = judge_spoiled(spoil);
  EXPECT_EQ(verdict.blame, Blame::kKernel) << verdict.why;
  EXPECT_NE(verdict.why.find("in float it is not finite"), std::string::npos) << verdict.why;
}

TEST(JudgeStep, AKernelThatIsOff) {
  std::vector<Spoil> spoils(4);
  spoils[0].dense_backward = [](const DenseGradArgs& a) { a.grad_weight(0, 0) *= 1.01f; };
  spoils[1].likelihood = [](const LikelihoodArgs& a) { a.log_px_given_z(0) += 0.1f; };
  spoils[2].reparameterize = [](const ReparameterizeArgs& a) { a.kl(1) *= 1.01f; };
  spoils[3].reparameterize_backward = [](const ReparameterizeGradArgs& a) { a.grad_mu(0, 0) += 0.01f; };
  for (const Spoil& spoil : spoils) {
    const Verdict verdict = judge_spoiled(spoil);
    EXPECT_EQ(verdict.blame, Blame::kKernel) << verdict.why;
    EXPECT_NE(verdict.why.find("float differs from double"), std::string::npos) << verdict.why;
  }
}

// --- Other posteriors, priors and several stochastic layers

struct Model {
  std::string name;
  VaeConfig config;
  TrainingObjective objective = TrainingObjective::kElbo;
};

VaeConfig config_with(Posterior posterior, Prior prior, std::vector<LayerConfig> above = {}) {
  VaeConfig config = config_of("gaussian", Activation::kTanh);
  config.posterior = posterior;
  config.prior = prior;
  config.above = std::move(above);
  return config;
}

std::vector<Model> models() {
  std::vector<Model> out;
  for (const char* posterior :
       {"diagonal-gaussian", "isotropic-gaussian", "full-covariance-gaussian", "planar-flow"}) {
    for (const char* prior : {"standard-normal", "diagonal-gaussian", "uniform", "mixture", "vamp"}) {
      const Posterior p{.family = posterior_family_from_name(posterior), .flow_steps = 2};
      const Prior q{.family = prior_family_from_name(prior), .components = 3};
      if (q.family == PriorFamily::kVamp && p.family != PosteriorFamily::kDiagonalGaussian) continue;
      for (const TrainingObjective objective : {TrainingObjective::kElbo, TrainingObjective::kIwae})
        out.push_back({std::string(posterior) + ", " + prior + (out.size() % 2 == 0 ? "" : ", iwae"),
                       config_with(p, q), objective});
    }
  }
  const std::vector<LayerConfig> two{{3, {4}}}, three{{3, {4}}, {2, {}}};
  out.push_back({"two layers", config_with({}, {}, two), TrainingObjective::kElboMc});
  out.push_back({"three layers, iwae", config_with({}, {}, three), TrainingObjective::kIwae});
  out.push_back({"mixture, dreg", config_with({}, {.family = PriorFamily::kMixture, .components = 3}),
                 TrainingObjective::kDreg});
  return out;
}

TEST(JudgeEveryModel, AGoodStepIsGood) {
  for (const Model& model : models()) {
    SCOPED_TRACE(model.name);
    const Scene scene(model.config, model.objective);
    const FloatStep step = take_float_step<float>(CpuExec(2), scene.at());
    const Verdict verdict = judge_step<float>(scene.at(), scene.examine(), step);
    EXPECT_EQ(verdict.blame, Blame::kNothing) << verdict.why;
    if (model.config.above.empty()) {
      EXPECT_EQ(verdict.why, "the step is finite here, and what the references in double say");
    } else {
      EXPECT_NE(verdict.why.find("several stochastic layers"), std::string::npos) << verdict.why;
    }
    // A mean of sums of some dozen terms of order 1.
    EXPECT_NEAR(verdict.elbo, step.totals.elbo / 7, 1e-4);
    EXPECT_NEAR(verdict.norm, step.totals.norm_sum, 1e-4 * (1 + verdict.norm));
  }
}

TEST(JudgeEveryModel, TheData) {
  for (const Model& model : models()) {
    SCOPED_TRACE(model.name);
    Scene scene(model.config, model.objective);
    scene.value(8, 4) = kNanF;
    const Verdict verdict = scene.judge();
    EXPECT_EQ(verdict.blame, Blame::kData) << verdict.why;
    EXPECT_NE(verdict.why.find("row 8, column 4 "), std::string::npos) << verdict.why;
  }
}

TEST(JudgeEveryModel, TheStateBeforeIt) {
  for (const Model& model : models()) {
    SCOPED_TRACE(model.name);
    Scene scene(model.config, model.objective);
    scene.parameter("encoder.2.bias", 2) = kNanF;
    EXPECT_EQ(scene.judge().blame, Blame::kState);
  }
}

TEST(JudgeEveryModel, TheModelLeavesFloatsRange) {
  for (const Model& model : models()) {
    SCOPED_TRACE(model.name);
    Scene scene(model.config, model.objective);
    scene.parameter("decoder.2.bias", 0) = 1e25f;
    const Verdict verdict = scene.judge();
    EXPECT_EQ(verdict.blame, Blame::kModel) << verdict.why;
    EXPECT_NE(verdict.why.find("log p(x|z) is -"), std::string::npos) << verdict.why;
  }
}

TEST(JudgeEveryModel, AKernelThatGivesNan) {
  for (const Model& model : models()) {
    SCOPED_TRACE(model.name);
    Spoil spoil;
    spoil.dense = [](const DenseArgs& a) { a.y(2, 1) = kNanF; };
    const Scene scene(model.config, model.objective);
    const Verdict verdict = judge_step<float>(scene.at(), scene.examine(),
                                              take_float_step<float>(SpoiledExec(spoil), scene.at()));
    EXPECT_EQ(verdict.blame, Blame::kKernel) << verdict.why;
  }
}

TEST(JudgeEveryModel, AKernelThatIsOff) {
  std::vector<Spoil> spoils(3);
  spoils[0].dense_backward = [](const DenseGradArgs& a) { a.grad_weight(0, 0) *= 1.01f; };
  spoils[1].likelihood = [](const LikelihoodArgs& a) { a.log_px_given_z(0) += 0.1f; };
  spoils[2].reparameterize_backward = [](const ReparameterizeGradArgs& a) { a.grad_mu(0, 0) += 0.01f; };
  for (const Model& model : models()) {
    if (!model.config.above.empty()) continue;  // compared no further
    const Scene scene(model.config, model.objective);
    for (std::size_t i = 0; i < spoils.size(); ++i) {
      SCOPED_TRACE(model.name + ", spoil " + std::to_string(i));
      const Verdict verdict = judge_step<float>(scene.at(), scene.examine(),
                                                take_float_step<float>(SpoiledExec(spoils[i]), scene.at()));
      EXPECT_EQ(verdict.blame, Blame::kKernel) << verdict.why;
      EXPECT_NE(verdict.why.find("float differs from double"), std::string::npos) << verdict.why;
    }
  }
}

// Parameters ten times what training begins with, and other noise: rounding errors grow, and so must their
// bounds.
TEST(JudgeEveryModel, NoKernelIsBlamedForAModelThatIsIllConditioned) {
  int finite = 0;
  for (const Model& model : models()) {
    for (const float scale : {1.0f, 3.0f, 10.0f}) {
      for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        SCOPED_TRACE(model.name + ", scale " + std::to_string(scale) + ", seed " + std::to_string(seed));
        Scene scene(model.config, model.objective);
        checks::fill_normal(View<float, 2>{scene.state.parameters.data(), 1, scene.vae.table().size()}, seed,
                            scale);
        scene.options.seed = seed;
        const Verdict verdict = scene.judge();
        EXPECT_NE(verdict.blame, Blame::kKernel) << verdict.why;
        finite += verdict.blame == Blame::kNothing;
      }
    }
  }
  EXPECT_GT(finite, 500);
}

TEST(JudgeStep, DoesNotCompareWhereRoundingDecidesTheGradient) {
  VaeConfig config = config_with({}, {.family = PriorFamily::kDiagonalGaussian});
  config.clamp = {-20.0f, 0.5f};
  Scene scene(config, TrainingObjective::kElbo);
  for (int i = 0; i < 4 * 4; ++i) scene.parameter("encoder.2.weight", i) *= 1e-9f;
  scene.parameter("encoder.2.bias", 2) = 0.5f;
  const Verdict verdict = scene.judge();
  EXPECT_EQ(verdict.blame, Blame::kNothing) << verdict.why;
  EXPECT_NE(verdict.why.find("on which side of its bound"), std::string::npos) << verdict.why;
}

/// What is made too large, and what must be named as the first number beyond float's range.
struct Blown {
  const char* name;
  VaeConfig config;
  TrainingObjective objective;
  std::function<void(Scene&)> change;
  const char* why;
};

// In the order in which a step computes.
TEST(JudgeEveryModel, NamesTheFirstTensorBeyondFloatsRange) {
  using enum TrainingObjective;
  const Prior learned{.family = PriorFamily::kDiagonalGaussian};
  const Prior mixture{.family = PriorFamily::kMixture, .components = 3},
      vamp{.family = PriorFamily::kVamp, .components = 3}, uniform{.family = PriorFamily::kUniform};
  const Posterior full{.family = PosteriorFamily::kFullCovarianceGaussian},
      flow{.family = PosteriorFamily::kPlanarFlow, .flow_steps = 2};
  const std::vector<LayerConfig> above{{3, {4}}, {2, {}}};
  const std::vector<Blown> cases{
      {"the prior's mean", config_with({}, learned), kElbo,
       [](Scene& s) { s.parameter("prior.mu", 1) = 1e20f; }, "the KL is "},
      {"a component's mean, by samples", config_with({}, learned), kElboMc,
       [](Scene& s) { s.parameter("prior.mu", 1) = 1e25f; }, "log p(z) is -"},
      {"the uniform prior's map is bounded", config_with({}, uniform), kElbo,
       [](Scene& s) { s.parameter("encoder.2.bias", 0) = 1e25f; }, "the KL is "},
      {"the covariance's factor", config_with(full, {}), kElbo,
       [](Scene& s) { s.parameter("encoder.2.bias", 4) = 1e25f; }, "the KL is "},
      {"all components", config_with({}, mixture), kElbo,
       [](Scene& s) {
         for (int i = 0; i < 6; ++i) s.parameter("prior.mu", i) = 1e25f;
       },
       "log p(z) is -"},
      {"a pseudo-input", config_with({}, vamp), kElbo,
       [](Scene& s) {
         s.parameter("prior.pseudo_inputs", 6 + 2) = 3e38f;
         s.parameter("encoder.0.weight", 2 * 5) = 10.0f;
       },
       "the output of encoder.0 before its activation is 3e+39 for pseudo-input 1;"},
      {"a flow that goes far", config_with(flow, {}), kElbo,
       [](Scene& s) { s.parameter("encoder.2.bias", 4) = 1e25f; }, "log p(z) is -"},
      {"the third layer's network", config_with({}, {}, above), kElboMc,
       [](Scene& s) {
         s.parameter("encoder3.0.bias") = 3e38f;
         for (int i = 0; i < 6; ++i) s.parameter("encoder3.0.weight", i) = 3e38f;
       },
       "the output of encoder3.0 before its activation is "},
      {"h2", config_with({}, {}, above), kIwae, [](Scene& s) { s.parameter("encoder2.1.bias", 1) = 1e25f; },
       "log p(z) is -"},
  };
  for (const Blown& c : cases) {
    SCOPED_TRACE(c.name);
    Scene scene(c.config, c.objective);
    c.change(scene);
    const Verdict verdict = scene.judge();
    EXPECT_EQ(verdict.blame, Blame::kModel) << verdict.why;
    EXPECT_NE(verdict.why.find(std::string("in double, too, ") + c.why), std::string::npos) << verdict.why;
  }
}

// In double what comes of it has room in a float. w . u overflows in float, and u^ is small again; a
// component out of all reach has no share in p(z), though its distance has no room in a float.
TEST(JudgeEveryModel, ANumberOnTheWayBeyondFloatsRangeIsTheModels) {
  Scene flow(config_with({.family = PosteriorFamily::kPlanarFlow, .flow_steps = 2}, {}),
             TrainingObjective::kElbo);
  for (const int i : {4, 5}) flow.parameter("encoder.2.bias", i) = -1e20f;
  for (const int i : {6, 7}) flow.parameter("encoder.2.bias", i) = 1e20f;
  Scene mixture(config_with({}, {.family = PriorFamily::kMixture, .components = 3}),
                TrainingObjective::kElbo);
  mixture.parameter("prior.mu", 0) = 1e25f;
  for (const Scene* scene : {&flow, &mixture}) {
    const Verdict verdict = scene->judge();
    EXPECT_EQ(verdict.blame, Blame::kModel) << verdict.why;
    EXPECT_NE(verdict.why.find("on the way from the encoder's output"), std::string::npos) << verdict.why;
  }
}

// --- Which step is next

TEST(NextStep, IsThatOfTheEpochsOrderAndRates) {
  RunConfig config;
  config.batch = 8, config.seed = 5, config.epochs = 3, config.lr = 0.01, config.lr_schedule = "cosine";
  const NextStep next = next_step(config, 20, 5, 1, 2);
  const std::vector<std::uint32_t> order = epoch_order(5, 1, 20);
  EXPECT_EQ(next.rows, (std::vector<std::uint32_t>(order.begin() + 16, order.end())));
  EXPECT_EQ(next.steps, 3);
  EXPECT_EQ(next.of_epoch, 2);
  EXPECT_EQ(next.rates.lr, lr_schedule(config).rate(5, 3));
  EXPECT_EQ(next.rates.beta, 1.0);
  EXPECT_EQ(next_step(config, 5, 0, 0, 0).rows.size(), 5u);  // fewer data than a batch
  EXPECT_THROW(next_step(config, 20, 6, 1, 3), std::invalid_argument);
  EXPECT_THROW(next_step(config, 20, 6, 1, -1), std::invalid_argument);
}

}  // namespace
}  // namespace felbo
