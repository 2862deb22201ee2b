// Epochs with steps that are skipped, stopped after any of their steps and gone on with: in memory of their
// own, from what a checkpoint holds, bit for bit as if they had not been stopped.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>

#include "host/check/inputs.h"
#include "host/train/trainer.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

constexpr std::int64_t kRows = 22, kColumns = 5, kBatch = 4, kSteps = 6;  // the last one over two data
constexpr std::uint64_t kSeed = 3;
constexpr int kEpochs = 2;

/// `spoiled` rows hold a value whose square has no room in a float, in both epochs.
DataPart rows_with(const std::vector<std::uint32_t>& spoiled) {
  DataPart part;
  part.rows = kRows, part.cols = kColumns;
  part.floats.resize(kRows * kColumns);
  checks::fill_normal(View<float, 2>{part.floats.data(), kRows, kColumns}, 1);
  for (const std::uint32_t row : spoiled) part.floats[row * kColumns + 2] = 1e25f;
  return part;
}

/// Where a run stands: what a checkpoint holds, and the means of the epochs behind it.
struct Standing {
  std::vector<float> values;  // parameters and moments
  std::int64_t step = 0;
  int epoch = 0;
  RunProgress at;
  std::vector<EpochTraining> epochs;
};

class Training {
 public:
  explicit Training(const std::vector<std::uint32_t>& spoiled, int threads = 2)
      : exec_(test::open_exec(threads)), part_(rows_with(spoiled)), data_(exec_, part_) {}

  Standing beginning() const {
    Standing begun;
    begun.values.resize(3 * static_cast<std::size_t>(size()));
    checks::fill_normal(View<float, 2>{begun.values.data(), 1, size()}, 2, 0.3f);
    return begun;
  }

  /// Goes on from `from` until step `until` of epoch `until_epoch` (from 0) is behind it, or to the end.
  Standing go_on(Standing from, int until_epoch = kEpochs, std::int64_t until = kSteps) const {
    ModelState<test::ExecType> state(exec_, vae_);
    for (const auto& [buffer, place] : buffers(state))
      upload(exec_,
             std::vector<float>(from.values.begin() + place * size(),
                                from.values.begin() + (place + 1) * size()),
             buffer->view());
    state.step = from.step, state.epoch = from.epoch;
    TrainingStep<test::ExecType> step(
        exec_, vae_, data_, state,
        {.max_batch = kBatch, .seed = kSeed, .clip_norm = 5.0, .on_non_finite = OnNonFinite::kSkip});
    const LrSchedule lr = LrSchedule::parse("constant", 1e-2, kEpochs, 0);
    const BetaSchedule beta = BetaSchedule::parse("linear:2", 1.0);
    Progress progress(kEpochs, kSteps, ProgressKind::kOff);
    while (state.epoch < kEpochs) {
      const bool stops = state.epoch == until_epoch;
      const auto epoch = train_epoch(
          step, state, {kRows, kBatch, kSeed, lr, beta}, from.at, progress,
          [&](std::int64_t steps) { return stops && steps == until ? AfterStep::kStop : AfterStep::kGoOn; },
          [] {});
      if (!epoch) break;
      from.epochs.push_back(*epoch);
    }
    from.step = state.step, from.epoch = state.epoch;
    from.values.clear();
    for (const auto& [buffer, place] : buffers(state)) {
      const std::vector<float> values = to_host(exec_, buffer->view());
      from.values.insert(from.values.end(), values.begin(), values.end());
    }
    return from;
  }

 private:
  std::int64_t size() const { return vae_.table().size(); }
  static std::vector<std::pair<Buffer<test::ExecType, float>*, std::int64_t>> buffers(
      ModelState<test::ExecType>& state) {
    return {{&state.parameters, 0}, {&state.m, 1}, {&state.v, 2}};
  }

  test::ExecHandle exec_;
  DataPart part_;
  ResidentData<test::ExecType> data_;
  Vae vae_{{.dimensions = kColumns,
            .latent = 2,
            .hidden = {4},
            .likelihood = likelihood_from_names("gaussian", "learned", {})}};
};

void expect_same(const Standing& got, const Standing& want) {
  ASSERT_EQ(got.values.size(), want.values.size());
  EXPECT_EQ(std::memcmp(got.values.data(), want.values.data(), want.values.size() * sizeof(float)), 0);
  EXPECT_EQ(got.step, want.step);
  ASSERT_EQ(got.epochs.size(), want.epochs.size());
  for (std::size_t i = 0; i < want.epochs.size(); ++i) {
    const EpochTraining &a = got.epochs[i], &b = want.epochs[i];
    EXPECT_EQ(a.terms.elbo, b.terms.elbo);
    EXPECT_EQ(a.terms.log_px_given_z, b.terms.log_px_given_z);
    EXPECT_EQ(a.terms.kl, b.terms.kl);
    EXPECT_EQ(a.clamped, b.clamped);
    EXPECT_EQ(a.norm_mean, b.norm_mean);
    EXPECT_EQ(a.norm_max, b.norm_max);
    EXPECT_EQ(a.clipped_steps, b.clipped_steps);
    EXPECT_EQ(a.skipped_steps, b.skipped_steps);
    EXPECT_EQ(a.lr, b.lr);
    EXPECT_EQ(a.beta, b.beta);
  }
}

/// The first row that steps `steps` of the first epoch visit.
std::vector<std::uint32_t> rows_of(const std::vector<std::int64_t>& steps) {
  const std::vector<std::uint32_t> order = epoch_order(kSeed, 0, kRows);
  std::vector<std::uint32_t> rows;
  for (const std::int64_t step : steps) rows.push_back(order[static_cast<std::size_t>(step * kBatch)]);
  return rows;
}

// A step is skipped in the middle; the first ones are, so that nothing is counted where the epoch stops; the
// last is.
TEST(TrainEpoch, StoppedAfterAnyStepGoesOnBitForBitWhereStepsAreSkipped) {
  const std::vector<std::vector<std::int64_t>> cases{{}, {2}, {0, 1}, {1, 5}};
  for (const std::vector<std::int64_t>& skipped : cases) {
    SCOPED_TRACE(::testing::PrintToString(skipped));
    const Training training(rows_of(skipped));
    const Standing whole = training.go_on(training.beginning());
    ASSERT_EQ(whole.epochs.size(), 2u);
    EXPECT_EQ(whole.epochs[0].skipped_steps, static_cast<std::int64_t>(skipped.size()));
    EXPECT_EQ(whole.step, kEpochs * kSteps);
    for (int epoch = 0; epoch < kEpochs; ++epoch) {
      for (std::int64_t steps = 1; steps <= kSteps; ++steps) {
        SCOPED_TRACE("stopped after " + std::to_string(steps) + " steps of epoch " + std::to_string(epoch));
        const Standing stopped = training.go_on(training.beginning(), epoch, steps);
        EXPECT_EQ(stopped.at.steps, steps);
        EXPECT_EQ(stopped.step, epoch * kSteps + steps);
        expect_same(training.go_on(stopped), whole);
      }
    }
  }
}

TEST(TrainEpoch, AnEpochWithoutAStepTakenIsRefused) {
  std::vector<std::uint32_t> all(kRows);
  for (std::uint32_t i = 0; i < kRows; ++i) all[i] = i;
  const Training training(all);
  EXPECT_THROW(training.go_on(training.beginning()), Diverged);
}

}  // namespace
}  // namespace felbo
