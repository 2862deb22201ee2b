// Takes one step again, op by op on the CPU, and finds the first value that is not finite.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/data/data_part.h"
#include "host/forensics/watched_exec.h"
#include "host/run/run_config.h"
#include "host/train/training_step.h"

namespace felbo {

/// What a run's next step visits, and at what rates.
struct NextStep {
  std::vector<std::uint32_t> rows;
  StepRates rates;
  std::int64_t of_epoch = 0, steps = 1;  // which of the epoch's steps, from 0
};

/// Of a run that stands at `step` steps, `epoch` whole epochs and `of_epoch` steps of the next one, over
/// `rows` rows. Throws std::invalid_argument if its epoch has no such step.
NextStep next_step(const RunConfig& config, std::int64_t rows, std::int64_t step, int epoch,
                   std::int64_t of_epoch);

/// A step as it stands before it is taken.
struct StepAtHand {
  const Vae& vae;
  const DataPart& part;
  const ModelState<CpuExec>& state;
  TrainingStepOptions options;
  std::vector<std::uint32_t> rows;  // of the part
  StepRates rates;
};

struct Examination {
  std::optional<Sighting> first;  // nothing: all that the CPU computes in float is finite
  std::vector<float> x;           // (B, X) the batch as the likelihood sees it
};

/// Takes the step in float; `at` stays as it is. What is not finite in the state itself comes first.
Examination examine_step(const StepAtHand& at, int threads);

/// "likelihood gave nan in log_px_given_z, for rows 12, 4711 of the training data"; or that there was none.
/// `rows`: of the part, those of the batch.
std::string describe(const Examination& examination, const std::vector<std::uint32_t>& rows);

}  // namespace felbo
