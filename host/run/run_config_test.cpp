#include "host/run/run_config.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <random>

#include "host/run/test_files.h"

namespace felbo {
namespace {

using testing_files::has;

std::string refusal(const std::function<void()>& action) {
  return testing_files::message_of<std::invalid_argument>(action);
}

RunConfig through_toml(const RunConfig& config) {
  return run_config_from_toml(to_toml(config), "config.toml");
}

/// Every member, doubles by their bits.
void expect_same(const RunConfig& got, const RunConfig& want) {
  EXPECT_EQ(got.data, want.data);
  EXPECT_EQ(got.binarize, want.binarize);
  EXPECT_EQ(got.hidden, want.hidden);
  EXPECT_EQ(got.latent, want.latent);
  EXPECT_EQ(got.activation, want.activation);
  EXPECT_EQ(got.likelihood, want.likelihood);
  EXPECT_EQ(got.variance, want.variance);
  EXPECT_EQ(got.posterior, want.posterior);
  EXPECT_EQ(got.flow_steps, want.flow_steps);
  EXPECT_EQ(got.prior, want.prior);
  EXPECT_EQ(got.components, want.components);
  EXPECT_EQ(got.log_var_clamp, want.log_var_clamp);
  EXPECT_EQ(got.objective, want.objective);
  EXPECT_EQ(got.samples, want.samples);
  EXPECT_EQ(got.beta_schedule, want.beta_schedule);
  EXPECT_EQ(got.epochs, want.epochs);
  EXPECT_EQ(got.batch, want.batch);
  EXPECT_EQ(got.lr_schedule, want.lr_schedule);
  EXPECT_EQ(got.seed, want.seed);
  EXPECT_EQ(got.save_every, want.save_every);
  EXPECT_EQ(got.save_steps, want.save_steps);
  EXPECT_EQ(got.keep, want.keep);
  EXPECT_EQ(got.track_gap, want.track_gap);
  EXPECT_EQ(got.events, want.events);
  EXPECT_EQ(got.threads, want.threads);
  EXPECT_EQ(got.device, want.device);
  EXPECT_EQ(got.data_on, want.data_on);
  EXPECT_EQ(got.precision, want.precision);
  const auto same_bits = [](const char* name, double a, double b) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(a), std::bit_cast<std::uint64_t>(b))
        << name << " " << a << " " << b;
  };
  same_bits("valid_fraction", got.valid_fraction, want.valid_fraction);
  same_bits("beta", got.beta, want.beta);
  same_bits("free_bits", got.free_bits, want.free_bits);
  same_bits("lr", got.lr, want.lr);
  same_bits("warmup_epochs", got.warmup_epochs, want.warmup_epochs);
  same_bits("adam_beta1", got.adam_beta1, want.adam_beta1);
  same_bits("adam_beta2", got.adam_beta2, want.adam_beta2);
  same_bits("adam_epsilon", got.adam_epsilon, want.adam_epsilon);
  same_bits("clip_norm", got.clip_norm, want.clip_norm);
  EXPECT_EQ(got.on_nonfinite, want.on_nonfinite);
  EXPECT_EQ(got.track_norm, want.track_norm);
}

/// No member at its default.
RunConfig other_than_default() {
  RunConfig c;
  c.data = "/data/my set.npy";
  c.valid_fraction = 0.1 + 0.2;
  c.binarize = "threshold";
  c.hidden = "64,32";
  c.latent = "7";
  c.activation = "gelu";
  c.likelihood = "gaussian";
  c.variance = "fixed:0.25";
  c.posterior = "another";
  c.flow_steps = 3;
  c.prior = "of another kind";
  c.components = 17;
  c.log_var_clamp = "-3,1e1";
  c.objective = "unknown";
  c.samples = 5;
  c.beta = 1.0 / 3.0;
  c.beta_schedule = "linear:10";
  c.free_bits = 0.1 + 0.2;
  c.epochs = 13;
  c.batch = 99;
  c.lr = 0.1 + 0.7;
  c.lr_schedule = "cosine";
  c.warmup_epochs = 2.0 / 7.0;
  c.adam_beta1 = std::nextafter(0.9, 1.0);
  c.adam_beta2 = std::nextafter(0.999, 1.0);
  c.adam_epsilon = std::nextafter(1e-8, 1.0);
  c.clip_norm = std::nextafter(0.7, 1.0);
  c.on_nonfinite = "skip";
  c.track_norm = true;
  c.seed = 12345678901234567890u;
  c.save_every = 3;
  c.save_steps = 5;
  c.keep = 4;
  c.track_gap = 2;
  c.events = "tensorboard";
  c.threads = 4;
  c.device = "cuda:1";
  c.data_on = "host";
  c.precision = "bf16";
  return c;
}

TEST(RunConfigToml, KeepsEveryMember) {
  expect_same(through_toml(other_than_default()), other_than_default());
  const RunConfig defaults;
  expect_same(through_toml(defaults), defaults);
  EXPECT_EQ(through_toml(defaults).epochs, std::nullopt);
  EXPECT_EQ(to_toml(through_toml(other_than_default())), to_toml(other_than_default()));
}

// config.toml is for people too.
TEST(RunConfigToml, IsWrittenAsOneWouldWriteIt) {
  RunConfig c = other_than_default();
  c.valid_fraction = 0.1;
  c.lr = 1e-3;
  c.hidden = "500";
  const std::string text = to_toml(c);
  for (const char* line :
       {"\nvalid-fraction = 0.1\n", "\nlr = 0.001\n", "\nhidden = 500\n", "\nlatent = 7\n", "\nepochs = 13\n",
        "\nactivation = 'gelu'\n", "\ntrack-norm = true\n", "\n# Optimiser\n"}) {
    std::string other = line;  // either kind of quotes
    for (char& ch : other) ch = ch == '\'' ? '"' : ch;
    EXPECT_TRUE(has(text, line) || has(text, other));
  }
}

// A text in quotes is how earlier versions wrote them.
TEST(RunConfigToml, TakesTruthsBareAndInQuotes) {
  for (const char* text : {"track-norm = true", "track-norm = 'true'", "track-norm = 1"})
    EXPECT_TRUE(run_config_from_toml(text, "file").track_norm) << text;
  for (const char* text : {"track-norm = false", "track-norm = 'false'", "track-norm = 0"})
    EXPECT_FALSE(run_config_from_toml(text, "file").track_norm) << text;
  RunConfig named;  // a name that looks like one stays a text
  named.data = "true";
  EXPECT_TRUE(has(to_toml(named), "data = 'true'") || has(to_toml(named), "data = \"true\""));
  EXPECT_TRUE(has(to_toml(RunConfig()), "\ntrack-norm = false\n"));
}

TEST(RunConfigToml, KeepsDoublesBitForBit) {
  std::mt19937_64 words(1);  // fixed seed
  const auto any = [&](double lo, double hi) {
    return lo + (hi - lo) * static_cast<double>(words() >> 11) * 0x1p-53;
  };
  for (int n = 0; n < 300; ++n) {
    RunConfig c;
    c.valid_fraction = any(0, 0.9);
    c.beta = std::exp(any(-700, 700));
    c.lr = std::exp(any(-40, 0));
    c.warmup_epochs = any(0, 1);
    c.adam_beta1 = any(0, 1);
    c.adam_beta2 = 1 - std::exp(any(-20, 0));
    c.adam_epsilon = std::exp(any(-700, 0));
    expect_same(through_toml(c), c);
  }
  for (const double value : {5e-324, std::numeric_limits<double>::min(), std::numeric_limits<double>::max(),
                             9007199254740993.0, 1e22, 1e23, 0.1, 123456.7, 1e15, 1e16, 0.0, -0.0, -1.5}) {
    RunConfig c;
    c.beta = value;
    expect_same(through_toml(c), c);
  }
}

// The flags are read through long double, which rounds twice: about one shortest decimal in ten thousand
// would come back as a neighbour of the double that it stands for.
TEST(RunConfigToml, KeepsDoublesWhoseShortestTextIsReadWrongly) {
  std::mt19937_64 words(2);  // fixed seed
  int found = 0;
  for (int n = 0; n < 300000 && found < 5; ++n) {
    const double value = static_cast<double>(words() >> 11) * 0x1p-53;
    const std::string shortest = fmt::format("{}", value);
    if (static_cast<double>(std::strtold(shortest.c_str(), nullptr)) == value) continue;
    ++found;
    RunConfig c;
    c.beta = value;
    expect_same(through_toml(c), c);
  }
  EXPECT_EQ(found, 5);
}

TEST(RunConfigToml, KeepsOddNames) {
  for (const char* name : {"1e3",
                           "1E3",
                           "0x10",
                           "0o17",
                           "0b1",
                           "1_000",
                           "inf",
                           "-inf",
                           "nan",
                           "+5",
                           "-0",
                           "007",
                           "1.0",
                           "1.50",
                           ".5",
                           "5.",
                           "2020-01-01",
                           "07:32:00",
                           "true",
                           "\"quoted\"",
                           "'single'",
                           "'''",
                           "\"\"\"",
                           "both ' and \"",
                           "two\nlines",
                           "5\nseed = 7",
                           "tab\there",
                           "back\\slash",
                           "\\u0041",
                           "#hash",
                           "a # b",
                           " spaces ",
                           "[1,2]",
                           "[a]",
                           "{a = 1}",
                           "{",
                           "a,b",
                           "$HOME",
                           "%%",
                           "a=b",
                           "ünïcödé/数据.npy",
                           "-",
                           "--lr",
                           "\x01\x7f"}) {
    RunConfig c;
    c.data = name;
    SCOPED_TRACE(name);
    expect_same(through_toml(c), c);
  }
}

TEST(RunConfigToml, KeepsEverySeed) {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 53,
                                   (std::uint64_t{1} << 53) + 1, std::uint64_t{0x7fffffffffffffff},
                                   std::uint64_t{1} << 63, ~std::uint64_t{0} - 1, ~std::uint64_t{0}}) {
    RunConfig c;
    c.seed = seed;
    EXPECT_EQ(through_toml(c).seed, seed);
  }
}

TEST(RunConfigToml, ReadsListsNumbersAndTexts) {
  const RunConfig c = run_config_from_toml(
      "hidden = [300, 200]\nlatent = \"8\"\nlr = 2\nseed = \"18446744073709551615\"\nepochs = 3 # a "
      "comment\n",
      "file");
  EXPECT_EQ(c.hidden, "300,200");
  EXPECT_EQ(c.latent, "8");
  EXPECT_EQ(c.lr, 2.0);
  EXPECT_EQ(c.seed, ~std::uint64_t{0});
  EXPECT_EQ(c.epochs, 3);
  expect_same(run_config_from_toml("", "file"), RunConfig{});
}

TEST(RunConfigToml, RefusesWhatIsNoConfigurationAndNamesTheLine) {
  struct Bad {
    const char *text, *message;
  };
  for (const Bad& bad :
       {Bad{"latent = 3\nlatents = 4\n", "file, line 2: unknown key 'latents'"},
        Bad{"out = \"x\"\n", "file, line 1: unknown key 'out'"}, Bad{"help = 1\n", "unknown key 'help'"},
        Bad{"\n\nforce = 1\n", "file, line 3: unknown key 'force'"}, Bad{"lr = \n", "file, line 1: not TOML"},
        Bad{"lr = 1\nlr = 2\n", "file, line 2: not TOML"},
        Bad{"latent = [[1]]\n", "file, line 1: 'latent' must"},
        Bad{"lr = true\n", "file, line 1: 'lr' must be a number"},
        Bad{"track-norm = 'perhaps'\n", "file, line 1: "},
        Bad{"track-norm = [true]\n", "file, line 1: 'track-norm' must be a number"},
        Bad{"[lr]\nx = 1\n", "file, line 1: 'lr' must be a number"},
        Bad{"[optimiser]\nlr = 1\n", "unknown key 'optimiser'"}, Bad{"latent = 1.5\n", "file, line 1: "},
        Bad{"latent = \"many\"\n", "file, line 1: "}, Bad{"lr = \"fast\"\n", "file, line 1: "},
        Bad{"data = \"x\"\nseed = -1\n", "file, line 2: "},
        Bad{"seed = \"18446744073709551616\"\n", "file, line 1: "},
        Bad{"epochs = 3000000000\n", "file, line 1: "}, Bad{"data = \"\xff\"\n", "not TOML"}}) {
    SCOPED_TRACE(bad.text);
    EXPECT_TRUE(has(refusal([&] { run_config_from_toml(bad.text, "file"); }), bad.message));
  }
}

// --- What the configuration decides

TEST(RunConfigParts, TheModelIsTheOneAskedFor) {
  RunConfig c;
  c.hidden = "30,20";
  c.latent = "6";
  c.activation = "softplus";
  c.likelihood = "gaussian";
  c.log_var_clamp = "-7.5,3";
  const VaeConfig vae = vae_config(c, 12);
  EXPECT_EQ(vae.dimensions, 12);
  EXPECT_EQ(vae.latent, 6);
  EXPECT_EQ(vae.hidden, (std::vector<std::int64_t>{30, 20}));
  EXPECT_EQ(vae.activation, Activation::kSoftplus);
  EXPECT_EQ(vae.likelihood.family, LikelihoodFamily::kGaussian);
  EXPECT_EQ(vae.likelihood.variance, VarianceKind::kLearned);  // where nothing is said
  for (const LogVarClamp& clamp : {vae.clamp, vae.likelihood.clamp}) {
    EXPECT_EQ(clamp.lo, -7.5f);
    EXPECT_EQ(clamp.hi, 3.0f);
  }
  c.variance = "fixed:0.5";
  EXPECT_EQ(vae_config(c, 12).likelihood.variance, VarianceKind::kFixed);
  EXPECT_EQ(vae_config(c, 12).likelihood.fixed_variance, 0.5f);
}

TEST(RunConfigParts, StochasticLayersAreThoseAskedFor) {
  RunConfig c;
  c.latent = "100,50";
  c.hidden = "200,150/100,90";
  c.objective = "iwae";
  EXPECT_EQ(through_toml(c).latent, "100,50");
  EXPECT_EQ(through_toml(c).hidden, "200,150/100,90");
  EXPECT_EQ(run_config_from_toml("latent = [100, 50]\n", "file").latent, "100,50");
  const VaeConfig two = vae_config(c, 784);
  EXPECT_EQ(two.stochastic_layers(), 2);
  EXPECT_EQ(two.latent, 100);
  EXPECT_EQ(two.hidden, (std::vector<std::int64_t>{200, 150}));
  EXPECT_EQ(two.above[0].latent, 50);
  EXPECT_EQ(two.above[0].hidden, (std::vector<std::int64_t>{100, 90}));
  EXPECT_NO_THROW(validate(c, 784));
  c.hidden = "30";
  EXPECT_EQ(vae_config(c, 784).above[0].hidden, (std::vector<std::int64_t>{30}));
  c.latent = "9,8,7";
  c.hidden = "40/none/20";
  const VaeConfig three = vae_config(c, 784);
  EXPECT_EQ(three.stochastic_layers(), 3);
  EXPECT_TRUE(three.above[0].hidden.empty());
  EXPECT_EQ(three.above[1].hidden, (std::vector<std::int64_t>{20}));
  EXPECT_EQ(three.above[1].latent, 7);
}

TEST(RunConfigParts, TheStepIsTheOneAskedFor) {
  RunConfig c;
  c.batch = 17;
  c.samples = 4;
  c.beta = 0.25;
  c.beta_schedule = "linear:1";
  c.free_bits = 0.125;
  c.binarize = "dynamic";
  c.seed = 99;
  c.adam_beta1 = 0.5;
  c.adam_beta2 = 0.75;
  c.adam_epsilon = 1e-4;
  c.clip_norm = 0.25;
  c.on_nonfinite = "skip";
  c.track_norm = true;
  const TrainingStepOptions o = training_options(c);
  EXPECT_EQ(o.max_batch, 17);
  EXPECT_EQ(o.samples, 4);
  EXPECT_EQ(o.objective, TrainingObjective::kElbo);
  EXPECT_EQ(o.free_bits, 0.125f);
  EXPECT_EQ(beta_schedule(c).beta(5, 10), 0.125);
  EXPECT_EQ(o.binarize, Binarize::kDynamic);
  EXPECT_EQ(o.seed, 99u);
  EXPECT_EQ(o.adam_beta1, 0.5f);
  EXPECT_EQ(o.adam_beta2, 0.75f);
  EXPECT_EQ(o.adam_epsilon, 1e-4f);
  EXPECT_EQ(o.clip_norm, 0.25);
  EXPECT_EQ(o.on_non_finite, OnNonFinite::kSkip);
  EXPECT_TRUE(o.track_norm);
  c.epochs = 9;
  c.lr = 0.5;
  EXPECT_EQ(lr_schedule(c).epochs(), 9);
  EXPECT_EQ(lr_schedule(c).rate(0, 1), 0.5);
}

TEST(RunConfigParts, ObjectivesByName) {
  const std::pair<const char*, TrainingObjective> names[] = {{"elbo", TrainingObjective::kElbo},
                                                             {"elbo-mc", TrainingObjective::kElboMc},
                                                             {"stl", TrainingObjective::kStl},
                                                             {"iwae", TrainingObjective::kIwae},
                                                             {"dreg", TrainingObjective::kDreg}};
  for (const auto& [name, objective] : names) {
    RunConfig c;
    c.objective = name;
    EXPECT_EQ(training_options(c).objective, objective);
  }
}

TEST(RunConfigParts, HiddenWidths) {
  EXPECT_EQ(hidden_widths("none"), std::vector<std::int64_t>{});
  EXPECT_EQ(hidden_widths("500"), (std::vector<std::int64_t>{500}));
  EXPECT_EQ(hidden_widths("1,1000000"), (std::vector<std::int64_t>{1, 1000000}));
  for (const char* text : {"", "0", "-1", "1000001", "5,", ",5", "5,,5", "5 ", "5.0", "five", "None"})
    EXPECT_TRUE(has(refusal([&] { hidden_widths(text); }), "--hidden")) << text;
  std::string many = "1";
  for (int n = 1; n < 64; ++n) many += ",1";
  EXPECT_EQ(hidden_widths(many).size(), 64u);
  EXPECT_TRUE(has(refusal([&] { hidden_widths(many + ",1"); }), "at most 64 layers"));
}

TEST(RunConfigParts, RefusesWhatIsOutOfRangeAndNamesTheFlag) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  using Change = std::function<void(RunConfig&)>;
  const std::vector<std::pair<const char*, Change>> bad{
      {"--latent", [](auto& c) { c.latent = "0"; }},
      {"--latent", [](auto& c) { c.latent = "1000001"; }},
      {"--latent", [](auto& c) { c.latent = "5,"; }},
      {"--latent", [](auto& c) { c.latent = "5,0", c.objective = "iwae"; }},
      {"at most 9 stochastic layers", [](auto& c) { c.latent = "1,1,1,1,1,1,1,1,1,1"; }},
      {"--hidden 5/6 names", [](auto& c) { c.hidden = "5/6"; }},
      {"--hidden 5/6/7 names", [](auto& c) { c.latent = "4,3", c.hidden = "5/6/7"; }},
      {"use --objective elbo-mc", [](auto& c) { c.latent = "4,3"; }},
      {"one stochastic layer", [](auto& c) { c.latent = "4,3", c.objective = "stl"; }},
      {"one stochastic layer", [](auto& c) { c.latent = "4,3", c.objective = "dreg"; }},
      {"one stochastic layer", [](auto& c) { c.latent = "4,3", c.objective = "iwae", c.precision = "bf16"; }},
      {"several stochastic layers go with",
       [](auto& c) { c.latent = "4,3", c.objective = "iwae", c.posterior = "isotropic-gaussian"; }},
      {"several stochastic layers go with",
       [](auto& c) { c.latent = "4,3", c.objective = "iwae", c.prior = "uniform"; }},
      {"--hidden", [](auto& c) { c.hidden = "0"; }},
      {"--posterior", [](auto& c) { c.posterior = "flow"; }},
      {"--prior", [](auto& c) { c.prior = "vampire"; }},
      {"--flow-steps 4 goes with", [](auto& c) { c.flow_steps = 4; }},
      {"--flow-steps", [](auto& c) { c.posterior = "planar-flow", c.flow_steps = 0; }},
      {"--components 4 goes with", [](auto& c) { c.prior = "uniform", c.components = 4; }},
      {"--components", [](auto& c) { c.prior = "mixture", c.components = 0; }},
      {"--components", [](auto& c) { c.prior = "vamp", c.components = 65536; }},
      {"--prior vamp goes with", [](auto& c) { c.prior = "vamp", c.posterior = "planar-flow"; }},
      {"--precision bf16 goes with", [](auto& c) { c.prior = "mixture", c.precision = "bf16"; }},
      {"--precision bf16 goes with",
       [](auto& c) { c.posterior = "isotropic-gaussian", c.precision = "bf16"; }},
      {"couples the dimensions", [](auto& c) { c.posterior = "planar-flow", c.objective = "stl"; }},
      {"couples the dimensions",
       [](auto& c) { c.posterior = "full-covariance-gaussian", c.objective = "dreg"; }},
      {"dimension by dimension", [](auto& c) { c.prior = "diagonal-gaussian", c.free_bits = 0.5; }},
      {"dimension by dimension", [](auto& c) { c.posterior = "isotropic-gaussian", c.free_bits = 0.5; }},
      {"relu", [](auto& c) { c.activation = "swish"; }},
      {"bernoulli", [](auto& c) { c.likelihood = "bernouli"; }},
      {"per-element", [](auto& c) { c.likelihood = "gaussian", c.variance = "some"; }},
      {"--variance", [](auto& c) { c.variance = "unit"; }},
      {"--log-var-clamp", [](auto& c) { c.log_var_clamp = "5"; }},
      {"--log-var-clamp", [](auto& c) { c.log_var_clamp = "5,-5"; }},
      {"--log-var-clamp", [](auto& c) { c.log_var_clamp = "-90,5"; }},
      {"--log-var-clamp", [](auto& c) { c.log_var_clamp = "nan,5"; }},
      {"--objective", [](auto& c) { c.objective = "vampire"; }},
      {"--beta 1 throughout", [](auto& c) { c.objective = "iwae", c.beta = 0.5; }},
      {"--beta 1 throughout", [](auto& c) { c.objective = "dreg", c.beta_schedule = "linear:3"; }},
      {"--free-bits 0.5 goes with", [](auto& c) { c.objective = "elbo-mc", c.free_bits = 0.5; }},
      {"--free-bits", [](auto& c) { c.free_bits = -1; }},
      {"--free-bits", [=](auto& c) { c.free_bits = nan; }},
      {"--beta-schedule", [](auto& c) { c.beta_schedule = "now and then"; }},
      {"--samples", [](auto& c) { c.samples = 0; }},
      {"--batch", [](auto& c) { c.batch = 0; }},
      {"--batch", [](auto& c) { c.batch = std::int64_t{1} << 40; }},
      {"--beta", [](auto& c) { c.beta = -1; }},
      {"--beta", [=](auto& c) { c.beta = nan; }},
      {"--binarize", [](auto& c) { c.binarize = "yes"; }},
      {"--adam-beta1", [](auto& c) { c.adam_beta1 = 1; }},
      {"--adam-beta1", [](auto& c) { c.adam_beta1 = 1 - 1e-12; }},  // 1 in float
      {"--adam-beta2", [](auto& c) { c.adam_beta2 = -0.1; }},
      {"--adam-beta2", [](auto& c) { c.adam_beta2 = 1 - 1e-12; }},
      {"--adam-epsilon", [](auto& c) { c.adam_epsilon = 0; }},
      {"--adam-epsilon", [](auto& c) { c.adam_epsilon = 1e-60; }},  // 0 in float
      {"--adam-epsilon", [=](auto& c) { c.adam_epsilon = nan; }},
      {"--clip-norm", [](auto& c) { c.clip_norm = -1; }},
      {"--clip-norm", [](auto& c) { c.clip_norm = 1e-7; }},
      {"--clip-norm", [](auto& c) { c.clip_norm = 1e16; }},
      {"--clip-norm", [=](auto& c) { c.clip_norm = nan; }},
      {"--on-nonfinite", [](auto& c) { c.on_nonfinite = "ignore"; }},
      {"--lr-schedule", [](auto& c) { c.lr_schedule = "sometimes"; }},
      {"1e+300", [](auto& c) { c.lr = 1e300; }},  // infinite in float
      {"--save-every", [](auto& c) { c.save_every = 0; }},
      {"--save-steps", [](auto& c) { c.save_steps = -1; }},
      {"--keep", [](auto& c) { c.keep = 0; }},
      {"--track-gap", [](auto& c) { c.track_gap = -1; }},
      {"--events", [](auto& c) { c.events = "tensorbored"; }},
      {"--device must be auto, cpu or cuda[:N]", [](auto& c) { c.device = "tpu"; }},
      {"--device must be auto, cpu or cuda[:N]", [](auto& c) { c.device = "cuda:"; }},
      {"--device must be auto, cpu or cuda[:N]", [](auto& c) { c.device = "cuda:-1"; }},
      {"--device must be auto, cpu or cuda[:N]", [](auto& c) { c.device = "cpu\xe4"; }},
      {"--data-on must be auto, device or host", [](auto& c) { c.data_on = "gpu"; }},
      {"config.toml cannot hold", [](auto& c) { c.data = "latin-1 \xe4"; }},
  };
  EXPECT_NO_THROW(validate(RunConfig{}, 784));
  for (const auto& [words, change] : bad) {
    RunConfig c;
    change(c);
    EXPECT_TRUE(has(refusal([&] { validate(c, 784); }), words));
  }
  for (const std::int64_t dimensions : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 60})
    EXPECT_TRUE(has(refusal([&] { validate(RunConfig{}, dimensions); }), "1 to 4294967296 dimensions"));
}

TEST(RunConfigParts, TrainingMustFitTheMemory) {
  constexpr std::int64_t kManyRows = std::int64_t{1} << 24;
  EXPECT_NO_THROW(check_memory(RunConfig{}, 784, kManyRows));
  RunConfig wide, many;
  wide.hidden = "1000000,1000000";
  many.batch = 1 << 24;
  many.samples = 1 << 20;
  EXPECT_TRUE(has(refusal([&] { check_memory(wide, 784, 1); }), "GiB"));
  EXPECT_TRUE(has(refusal([&] { check_memory(many, 784, kManyRows); }), "--batch"));
  EXPECT_TRUE(has(refusal([&] { check_memory(RunConfig{}, std::int64_t{1} << 32, 1); }), "GiB"));
  EXPECT_NO_THROW(validate(many, 784));  // what needs no memory to train in
  many.samples = 1;
  many.hidden = "10";
  EXPECT_NO_THROW(check_memory(many, 784, 100));  // a batch is no more than there are rows
}

DataSet set_of(std::vector<float> train, std::vector<float> test = {}) {
  const auto part = [](std::vector<float> values) {
    return DataPart{.rows = 1, .cols = static_cast<std::int64_t>(values.size()), .floats = std::move(values)};
  };
  DataSet set{.spec = "set", .train = part(std::move(train))};
  if (!test.empty()) set.test = part(std::move(test));
  return set;
}

TEST(RunConfigDomain, ABernoulliTakesProbabilitiesOnly) {
  RunConfig c;
  EXPECT_EQ(check_domain(c, set_of({0, 1, 1})), "");
  EXPECT_TRUE(has(check_domain(c, set_of({0, 0.5f, 1})), "not a log-likelihood"));
  EXPECT_TRUE(has(check_domain(c, set_of({0, 1, 1}, {0, 0.5f, 1})), "not a log-likelihood"));
  for (const float bad : {-0.001f, 1.001f}) {
    EXPECT_TRUE(has(refusal([&] { check_domain(c, set_of({0, bad})); }), "needs them in [0, 1]"));
    EXPECT_TRUE(has(refusal([&] { check_domain(c, set_of({0, 1}, {0, bad})); }), "needs them in [0, 1]"));
  }
  for (const char* binarize : {"dynamic", "threshold"}) {
    c.binarize = binarize;
    EXPECT_EQ(check_domain(c, set_of({0, 0.5f, 1})), "");
  }
  c.binarize = "none";
  c.likelihood = "gaussian";
  EXPECT_EQ(check_domain(c, set_of({-3, 0.5f, 1000})), "");
}

TEST(RunConfigDomain, EachLikelihoodTakesItsOwn) {
  RunConfig c;
  const auto refused = [&](std::vector<float> train, const std::string& part, std::vector<float> test = {}) {
    const std::string said = refusal([&] { check_domain(c, set_of(std::move(train), std::move(test))); });
    EXPECT_TRUE(has(said, part)) << said;
  };
  for (const char* any : {"laplace", "student-t"}) {
    c.likelihood = any;
    EXPECT_EQ(check_domain(c, set_of({-3, 0.5f, 1000})), "");
  }
  c.likelihood = "continuous-bernoulli";
  EXPECT_EQ(check_domain(c, set_of({0, 0.3f, 1})), "");
  refused({0, 1.5f}, "needs them in [0, 1]");
  c.likelihood = "discretized-logistic";
  EXPECT_EQ(check_domain(c, set_of({0, 1.0f / 255, 0.5019608f, 1})), "");
  refused({0, 0.5f},
          "train part, row 0, column 1 (from 0): 0.5, but --likelihood discretized-logistic needs bytes");
  refused({0, 1}, "test part, row 0, column 0 (from 0): -1", {-1});
  for (const char* counts :
       {"poisson", "negative-binomial", "zero-inflated-negative-binomial", "multinomial"}) {
    c.likelihood = counts;
    EXPECT_EQ(check_domain(c, set_of({0, 1, 7, 1e6f})), "");
    refused({0, 3, -1}, "column 2 (from 0): -1, but --likelihood " + std::string(counts) + " needs counts");
    refused({0.5f}, "column 0 (from 0): 0.5");
    refused({3e7f}, "up to 2^24");
  }
}

// Bytes are levels of grey for all likelihoods but those of counts.
TEST(RunConfigDomain, BytesAreCountedForCounts) {
  for (const auto& [likelihood, divisor] : {std::pair{"gaussian", 255.0f}, {"poisson", 1.0f}}) {
    RunConfig c;
    c.likelihood = likelihood;
    DataSet set{.spec = "set", .train = {.rows = 2, .cols = 2, .bytes = {0, 51, 255, 102}}};
    scale_data(c, set);
    EXPECT_EQ(set.train.divisor, divisor);
    EXPECT_EQ(column_means(set.train), (std::vector<double>{127.5 / divisor, 76.5 / divisor}));
    EXPECT_EQ(summarize(set.train).max, 255 / divisor);
    EXPECT_NO_THROW(check_domain(c, set));
    EXPECT_EQ(hold_out(std::move(set), 0.5).valid->divisor, divisor);
  }
}

// Levels are counted, and a model sees them over K - 1, whether they are bytes or floats.
TEST(RunConfigDomain, LevelsAreScaledByTheLargest) {
  RunConfig c;
  c.likelihood = "categorical";
  DataSet bytes{.spec = "set", .train = {.rows = 2, .cols = 2, .bytes = {0, 3, 1, 3}}};
  bytes.test = DataPart{.rows = 1, .cols = 2, .bytes = {2, 4}};
  scale_data(c, bytes);
  EXPECT_EQ(bytes.levels, 5);
  EXPECT_EQ(bytes.train.divisor, 4.0f);
  EXPECT_EQ(bytes.test->divisor, 4.0f);
  set_categories(c, bytes);
  EXPECT_EQ(c.categories, 5);
  EXPECT_EQ(vae_config(c, 2).likelihood.categories, 5);
  EXPECT_EQ(run_config_from_toml(to_toml(c), "x").categories, 5);
  DataSet floats = set_of({0, 4, 2});
  scale_data(c, floats);
  EXPECT_EQ(floats.train.floats, (std::vector<float>{0, 1, 0.5f}));
  EXPECT_NO_THROW(check_domain(c, floats));
  DataSet zeros = set_of({0, 0});
  scale_data({.likelihood = "categorical"}, zeros);
  EXPECT_EQ(zeros.levels, 1);
  EXPECT_EQ(zeros.train.floats, (std::vector<float>{0, 0}));
}

TEST(RunConfigDomain, WhatIsNoLevelIsRefused) {
  RunConfig c;
  c.likelihood = "categorical";
  const auto refused = [&](DataSet set, const std::string& part) {
    const std::string said = refusal([&] { scale_data(c, set); });
    EXPECT_TRUE(has(said, part)) << said;
  };
  refused(set_of({0, 1, 0.5f}),
          "set: train part, row 0, column 2 (from 0): 0.5, but --likelihood categorical needs levels");
  refused(set_of({0, 1}, {-1, 0}), "test part, row 0, column 0 (from 0): -1");
  refused(set_of({0, 70000}), "up to 65535");
  c.categories = 4;
  refused(set_of({0, 4}),
          "row 0, column 1 (from 0): 4, but --likelihood categorical needs levels 0, 1, 2, ... "
          "up to 3 (--categories)");
  refused({.spec = "set", .train = {.rows = 1, .cols = 2, .bytes = {3, 9}}}, "column 1 (from 0): 9");
  EXPECT_TRUE(has(refusal([&] {
                    RunConfig other;
                    other.categories = 4;
                    vae_config(other, 2);
                  }),
                  "--categories 4 goes with --likelihood categorical, not bernoulli"));
  c.categories = 0;
  EXPECT_TRUE(has(refusal([&] { vae_config(c, 2); }), "--categories must be between 1 and 65536, got 0"));
  c.categories = 4;
  c.binarize = "dynamic";
  EXPECT_TRUE(has(refusal([&] { validate(c, 2); }), "is one of levels: use --binarize none"));
}

DataSet sparse_set(std::vector<float> values) {
  DataSet set{.spec = "set", .train = {.rows = 2, .cols = 3}};
  set.train.sparse = CsrRows{{0, 1, 3}, {2, 0, 2}, std::move(values)};
  return set;
}

TEST(RunConfigDomain, SparseRowsAreCheckedElementByElement) {
  RunConfig c;
  c.likelihood = "multinomial";
  EXPECT_EQ(check_domain(c, sparse_set({1, 7, 1e6f})), "");
  const std::string said = refusal([&] { check_domain(c, sparse_set({1, 7, 0.25f})); });
  EXPECT_TRUE(
      has(said, "train part, row 1, column 2 (from 0): 0.25, but --likelihood multinomial needs counts"))
      << said;
  c.likelihood = "bernoulli";
  EXPECT_EQ(check_domain(c, sparse_set({1, 1, 1})), "");
  EXPECT_TRUE(has(refusal([&] { check_domain(c, sparse_set({1, 2, 1})); }), "needs them in [0, 1]"));
  c.likelihood = "categorical";
  DataSet set = sparse_set({1, 2, 1});
  EXPECT_TRUE(has(refusal([&] { scale_data(c, set); }), "sparse rows"));
}

TEST(RunConfigParts, AVarianceGoesWithTheLikelihoodsThatHaveOne) {
  RunConfig c;
  for (const char* family : {"laplace", "student-t", "discretized-logistic", "negative-binomial",
                             "zero-inflated-negative-binomial"}) {
    c.likelihood = family;
    c.variance = "";
    EXPECT_EQ(vae_config(c, 3).likelihood.variance, VarianceKind::kLearned) << family;
    c.variance = "per-element";
    EXPECT_EQ(vae_config(c, 3).likelihood.variance, VarianceKind::kPerElement) << family;
  }
  for (const char* family : {"bernoulli", "continuous-bernoulli", "poisson"}) {
    c.likelihood = family;
    EXPECT_TRUE(
        has(refusal([&] { vae_config(c, 3); }), "--variance per-element goes with a likelihood that has"))
        << family;
  }
}

TEST(RunConfigParts, DegreesOfFreedomGoWithStudentsT) {
  RunConfig c;
  c.likelihood = "student-t";
  EXPECT_EQ(vae_config(c, 3).likelihood.degrees_of_freedom, 5.0f);
  c.degrees_of_freedom = 2.5;
  EXPECT_EQ(vae_config(c, 3).likelihood.degrees_of_freedom, 2.5f);
  EXPECT_EQ(run_config_from_toml(to_toml(c), "here").degrees_of_freedom, 2.5);
  c.degrees_of_freedom = 0.0;
  EXPECT_TRUE(has(refusal([&] { vae_config(c, 3); }), "degrees of freedom must lie in"));
  c.likelihood = "laplace";
  EXPECT_TRUE(
      has(refusal([&] { vae_config(c, 3); }), "--degrees-of-freedom 0 goes with --likelihood student-t"));
}

TEST(RunConfigParts, PosteriorsAndPriors) {
  RunConfig c;
  c.posterior = "planar-flow";
  c.prior = "mixture";
  VaeConfig v = vae_config(c, 3);
  EXPECT_EQ(v.posterior.family, PosteriorFamily::kPlanarFlow);
  EXPECT_EQ(v.posterior.flow_steps, 8);
  EXPECT_EQ(v.prior.family, PriorFamily::kMixture);
  EXPECT_EQ(v.prior.components, 100);
  c.flow_steps = 2;
  c.components = 7;
  v = vae_config(run_config_from_toml(to_toml(c), "here"), 3);
  EXPECT_EQ(v.posterior.flow_steps, 2);
  EXPECT_EQ(v.prior.components, 7);
}

TEST(RunConfigParts, BinarisedDataAreNeitherGreyNorCounts) {
  RunConfig c;
  c.binarize = "dynamic";
  for (const char* family : {"discretized-logistic", "poisson", "negative-binomial"}) {
    c.likelihood = family;
    EXPECT_TRUE(has(refusal([&] { validate(c, 3); }), "use --binarize none")) << family;
  }
  c.likelihood = "laplace";
  EXPECT_NO_THROW(validate(c, 3));
}

}  // namespace
}  // namespace felbo
