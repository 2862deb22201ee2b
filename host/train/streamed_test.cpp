// Data that stay in host memory give what data on the device give, bit for bit: in training and evaluation.
// On the emulated machine streams do their work as late as they may, or at random times, so that whatever is
// not waited for shows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "host/evaluate/annealed.h"
#include "host/evaluate/evaluate.h"
#include "host/evaluate/generate.h"
#include "host/evaluate/local_posterior.h"
#include "host/train/shuffle.h"
#include "host/train/trainer.h"
#include "tests/harness/exec.h"

#if defined(FELBO_TEST_CUDA)
#if __has_include("cuda_runtime.h")
#include "cuda_runtime.h"
#endif
#if defined(FELBO_EMULATED_CUDA)
#include "tests/emulator/emulator.h"
#endif

namespace felbo {
namespace {

constexpr std::int64_t kRows = 53, kCols = 33, kBatch = 7;  // eight batches, the last of four

enum class Stored { kBytes, kFloats, kSparse };

/// Rows that differ from one another. Of sparse ones every fifth is empty.
DataPart part_of(Stored stored, std::int64_t rows = kRows) {
  DataPart part{.rows = rows, .cols = kCols};
  std::mt19937 random(3);
  if (stored == Stored::kSparse) part.sparse = CsrRows{{0}, {}, {}};
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::uint32_t j = 0; j < kCols; ++j) {
      const auto value = static_cast<std::uint8_t>(random() % 256);
      if (stored == Stored::kBytes) part.bytes.push_back(value);
      if (stored == Stored::kFloats) part.floats.push_back(static_cast<float>(value) / 255.0f);
      if (stored != Stored::kSparse || i % 5 == 2 || random() % 4 != 0) continue;
      part.sparse->column.push_back(j);
      part.sparse->value.push_back(static_cast<float>(value) / 255.0f);
    }
    if (stored == Stored::kSparse)
      part.sparse->begin.push_back(static_cast<std::int64_t>(part.sparse->value.size()));
  }
  return part;
}

Vae small_vae() { return Vae({.dimensions = kCols, .latent = 3, .hidden = {9}}); }

/// The device with data on it, or streamed in chunks of about `chunk_bytes`, of one batch at least.
CudaExec device() { return test::the_cuda_exec().with_placement({DataPlace::kDevice}); }
CudaExec streaming(std::int64_t chunk_bytes) {
  return test::the_cuda_exec().with_placement({DataPlace::kHost, chunk_bytes});
}
/// A batch a chunk; two or three; all in one.
constexpr std::int64_t kChunks[] = {1, 2 * kBatch* kCols + 200, 1 << 20};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// What training leaves.
struct Trained {
  std::vector<float> values;  // parameters and moments
  TrainingTotals totals;
};
void expect_same(const Trained& got, const Trained& want) {
  EXPECT_TRUE(same_bits(got.values, want.values));
  EXPECT_EQ(got.totals.elbo, want.totals.elbo);
  EXPECT_EQ(got.totals.kl, want.totals.kl);
  EXPECT_EQ(got.totals.count, want.totals.count);
  EXPECT_EQ(got.totals.skipped_steps, want.totals.skipped_steps);
  EXPECT_EQ(got.totals.skipped_data, want.totals.skipped_data);
}

/// A model in training on a part.
template <class T>
struct Training {
  Training(const CudaExec& on, const DataPart& part, const TrainingStepOptions& options)
      : exec(on.with_placement(on.placement())),
        data(exec, part),
        state(exec, vae),
        step(exec, vae, data, state, options) {
    const std::vector<double> mean(kCols, 0.4);
    upload(exec, initial_parameters(vae, {mean, 0.1}, 5), state.parameters.view());
  }
  /// Steps on the given part of an epoch's order; the last one may be short.
  void take(std::span<const std::uint32_t> order) {
    const auto steps =
        static_cast<std::size_t>(steps_per_epoch(static_cast<std::int64_t>(order.size()), kBatch));
    step.begin(order, std::vector<StepRates>(steps, {.lr = 1e-2}));
    for (std::size_t i = 0; i < steps; ++i) step();
  }
  void epochs(std::uint32_t count) {
    for (std::uint32_t epoch = 0; epoch < count; ++epoch) take(epoch_order(1, epoch, data.rows()));
  }
  Trained result() const {
    Trained out{{}, step.totals()};
    for (const auto* buffer : {&state.parameters, &state.m, &state.v}) {
      const std::vector<float> values = to_host(exec, buffer->view());
      out.values.insert(out.values.end(), values.begin(), values.end());
    }
    return out;
  }

  CudaExec exec;
  ResidentData<CudaExec> data;
  Vae vae = small_vae();
  ModelState<CudaExec> state;
  TrainingStep<CudaExec, T> step;
};

template <class T = float>
Trained train(const CudaExec& exec, const DataPart& part, const TrainingStepOptions& options,
              std::uint32_t epochs = 2) {
  Training<T> training(exec, part, options);
  training.epochs(epochs);
  return training.result();
}

TrainingStepOptions options_of(int samples, Binarize binarize, OnNonFinite on = OnNonFinite::kStop) {
  return {.max_batch = kBatch, .samples = samples, .binarize = binarize, .seed = 9, .on_non_finite = on};
}

/// Runs `body` on streams that work at once, as late as they may and at random times.
class Streamed : public testing::Test {
 protected:
  template <class F>
  void in_every_order(const F& body) {
#if defined(FELBO_EMULATED_CUDA)
    const emulator::Streams before = emulator::machine().streams;
    for (const emulator::Streams streams : emulator::kStreams) {
      SCOPED_TRACE("streams " + std::to_string(static_cast<int>(streams)));
      emulator::machine().streams = streams;
      body();
      test::the_cuda_exec().synchronize();
    }
    emulator::machine().streams = before;
#else
    body();
#endif
  }
};

TEST_F(Streamed, TrainingHasTheSameBits) {
  const std::tuple<Stored, int, Binarize> cases[] = {{Stored::kBytes, 1, Binarize::kDynamic},
                                                     {Stored::kFloats, 3, Binarize::kNone},
                                                     {Stored::kSparse, 2, Binarize::kDynamic}};
  for (const auto& [stored, samples, binarize] : cases) {
    const DataPart part = part_of(stored);
    const TrainingStepOptions options = options_of(samples, binarize);
    const Trained want = train(device(), part, options);
    for (const std::int64_t chunk : kChunks) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(stored) << ", chunks of " << chunk);
      in_every_order([&] { expect_same(train(streaming(chunk), part, options), want); });
    }
  }
}

TEST_F(Streamed, TrainingInBFloat16HasTheSameBits) {
  const DataPart part = part_of(Stored::kBytes);
  const TrainingStepOptions options = options_of(2, Binarize::kDynamic);
  const Trained want = train<BFloat16>(device(), part, options);
  in_every_order([&] { expect_same(train<BFloat16>(streaming(1), part, options), want); });
}

TEST_F(Streamed, GoesOnInTheMiddleOfAnEpoch) {
  const DataPart part = part_of(Stored::kBytes);
  const TrainingStepOptions options = options_of(1, Binarize::kDynamic);
  const std::vector<std::uint32_t> order = epoch_order(1, 0, kRows);
  const auto behind = [&](std::size_t steps) { return std::span(order).subspan(steps * kBatch); };
  const auto resumed = [&](const CudaExec& exec) {
    Training<float> first(exec, part, options);
    first.take(std::span(order).first(3 * kBatch));
    Training<float> then(exec, part, options);
    copy(then.exec, first.state.parameters.view(), then.state.parameters.view());
    copy(then.exec, first.state.m.view(), then.state.m.view());
    copy(then.exec, first.state.v.view(), then.state.v.view());
    then.state.step = first.state.step;
    then.step.restore_totals(first.step.totals());
    then.take(behind(3));
    return then.result();
  };
  const Trained want = train(device(), part, options, 1);
  in_every_order([&] { expect_same(resumed(streaming(1)), want); });
  in_every_order([&] { expect_same(resumed(streaming(kChunks[1])), want); });
}

// An order that is given up in the middle of a chunk leaves nothing behind.
TEST_F(Streamed, BeginsAnewWhereItIsToldTo) {
  const DataPart part = part_of(Stored::kFloats);
  const TrainingStepOptions options = options_of(1, Binarize::kNone);
  const auto interrupted = [&](const CudaExec& exec) {
    Training<float> t(exec, part, options);
    const std::vector<std::uint32_t> order = epoch_order(1, 0, kRows), other = epoch_order(2, 0, kRows);
    for (const int steps : {3, 4, 1}) {
      t.step.begin(order, std::vector<StepRates>(8));
      for (int i = 0; i < steps; ++i) t.step();
      t.take(other);
    }
    return t.result();
  };
  const Trained want = interrupted(device());
  in_every_order([&] { expect_same(interrupted(streaming(kChunks[1])), want); });
}

TEST_F(Streamed, SkipsStepsThatAreNotFinite) {
  DataPart part = part_of(Stored::kFloats);
  part.floats[17 * kCols + 4] = HUGE_VALF;
  const TrainingStepOptions options = options_of(1, Binarize::kNone, OnNonFinite::kSkip);
  const Trained want = train(device(), part, options);
  EXPECT_EQ(want.totals.skipped_steps, 2);
  in_every_order([&] { expect_same(train(streaming(1), part, options), want); });
}

// Room is for rows that differ: the longest one again and again is refused, not written behind the end.
TEST_F(Streamed, RefusesASparseRowAgainAndAgain) {
  DataPart part{.rows = 10, .cols = 100, .sparse = CsrRows{{0}, {}, {}}};
  for (std::int64_t i = 0; i < 10; ++i) {
    for (std::uint32_t j = 0; j < (i == 3 ? 90u : 1u); ++j) part.sparse->column.push_back(j);
    part.sparse->begin.push_back(static_cast<std::int64_t>(part.sparse->column.size()));
  }
  part.sparse->value.assign(part.sparse->column.size(), 1.0f);
  const CudaExec exec = streaming(1);
  RowStream stream(exec, part, 4);
  stream.begin(std::vector<std::uint32_t>{3, 0, 1, 2});
  EXPECT_NO_THROW(stream.feed());
  stream.begin(std::vector<std::uint32_t>{3, 0, 3, 2});
  EXPECT_THROW(stream.feed(), std::invalid_argument);
}

#if defined(FELBO_EMULATED_CUDA)
// One recording a size of batch, whatever the chunks; and while steps are enqueued the host waits for no
// stream, only for a chunk two behind.
TEST_F(Streamed, RecordsOnceAndDoesNotWait) {
  const DataPart part = part_of(Stored::kBytes);
  Training<float> t(streaming(1), part, options_of(1, Binarize::kDynamic));
  const std::int64_t before = emulator::recordings();
  for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
    t.step.begin(epoch_order(1, epoch, kRows), std::vector<StepRates>(8));
    const std::int64_t waits = emulator::stream_waits();
    for (int i = 0; i < 8; ++i) t.step();
    EXPECT_EQ(emulator::stream_waits(), waits);
  }
  EXPECT_EQ(emulator::recordings() - before, 2);  // full batches, and the last of an epoch
}

// Left to choose, data go where they fit beside what the model needs; two batches must fit in any case.
TEST_F(Streamed, DataGoToTheDeviceWhereTheyFit) {
  const emulator::Machine before = emulator::machine();
  const DataPart part = part_of(Stored::kBytes, 40000);  // 1.3 MB
  const CudaExec exec = test::the_cuda_exec().with_placement({});
  const auto streamed = [&](std::int64_t free, std::int64_t beside) {
    emulator::machine().total_memory += static_cast<std::size_t>(free - cuda_free_memory());
    return ResidentData<CudaExec>(exec, part, beside).is_streamed();
  };
  EXPECT_FALSE(streamed(1'600'000, 0));
  EXPECT_TRUE(streamed(1'500'000, 0));  // an eighth stays free
  EXPECT_TRUE(streamed(1'600'000, 300'000));
  EXPECT_FALSE(streamed(1'700'000, 300'000));
  const auto refusal = [](const auto& action) -> std::string {
    try {
      action();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  };
  emulator::machine().total_memory += static_cast<std::size_t>(100'000 - cuda_free_memory());
  const std::string no_room =
      refusal([&] { ResidentData<CudaExec>(exec.with_placement({DataPlace::kDevice}), part); });
  EXPECT_NE(no_room.find("too little device memory: 1320000 bytes"), std::string::npos) << no_room;
  EXPECT_NE(no_room.find("--data-on host"), std::string::npos) << no_room;
  const ResidentData<CudaExec> data(exec, part);
  EXPECT_NO_THROW(RowReader<CudaExec>(exec, data, 1000));
  EXPECT_NE(refusal([&] { RowReader<CudaExec>(exec, data, 2000); }).find("too little device memory"),
            std::string::npos);
  emulator::machine() = before;
}
#endif

/// A model as it begins, and a part to judge it on.
struct Judged {
  Judged(const CudaExec& exec, const DataPart& part)
      : parameters(exec, vae.table().size()), data(exec, part) {
    const std::vector<double> mean(kCols, 0.4);
    upload(exec, initial_parameters(vae, {mean, 0.1}, 5), parameters.view());
  }
  View<const float, 1> flat() const { return parameters.view(); }

  Vae vae = small_vae();
  Buffer<CudaExec, float> parameters;
  ResidentData<CudaExec> data;
};

/// Everything that evaluations say of a part.
std::vector<double> evaluated(const CudaExec& exec, const DataPart& part) {
  const Judged model(exec, part);
  std::vector<double> out;
  const auto add = [&](const auto& values) { out.insert(out.end(), values.begin(), values.end()); };
  const Evaluation e = evaluate(exec, model.vae, model.flat(), model.data,
                                {.samples = 3, .binarize = Binarize::kDynamic, .seed = 4});
  add(e.elbo_of_datum);
  add(e.log_px_of_datum);
  const std::int64_t some = std::min<std::int64_t>(part.rows, 300);  // of a tile and a part of one
  const Encoded encoded =
      encode(exec, model.vae, model.flat(), model.data, some, Binarize::kDynamic, 4, true);
  add(encoded.mu);
  add(encoded.x);
  return out;
}

// Tiles of up to 1024 data, and 256 of codes: several of each, the last ones short.
TEST_F(Streamed, EvaluationsHaveTheSameBits) {
  for (const Stored stored : {Stored::kBytes, Stored::kFloats, Stored::kSparse}) {
    const DataPart part = part_of(stored, 1100);
    const std::vector<double> want = evaluated(device(), part);
    ASSERT_GT(want.size(), 300u * kCols);
    for (const std::int64_t chunk : {1, 1 << 20})
      in_every_order([&] { EXPECT_TRUE(same_bits(evaluated(streaming(chunk), part), want)); });
  }
}

TEST_F(Streamed, FitsAndChainsHaveTheSameBits) {
  const DataPart part = part_of(Stored::kBytes, 5);
  const auto values = [&](const CudaExec& exec) {
    const Judged model(exec, part);
    const LatentGaussians q{std::vector<float>(15, 0.1f), std::vector<float>(15, -0.2f)};
    const LatentGaussians fitted = fit_posteriors(exec, model.vae, model.flat(), model.data,
                                                  Binarize::kDynamic, 4, q, {.steps = 2, .samples = 2});
    std::vector<double> out(fitted.mu.begin(), fitted.mu.end());
    const PosteriorValues v = evaluate_posteriors(exec, model.vae, model.flat(), model.data,
                                                  Binarize::kDynamic, 4, fitted, 4, evaluation_noise(4));
    out.insert(out.end(), v.elbo.begin(), v.elbo.end());
    const AnnealedEvaluation a = anneal(exec, model.vae, model.flat(), model.data,
                                        {.temperatures = 3, .chains = 2, .leapfrog = 2, .seed = 4});
    out.insert(out.end(), a.log_px_of_datum.begin(), a.log_px_of_datum.end());
    return out;
  };
  const std::vector<double> want = values(device());
  in_every_order([&] { EXPECT_TRUE(same_bits(values(streaming(1)), want)); });
}

}  // namespace
}  // namespace felbo

#endif
