#include "host/train/lr_schedule.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numbers>
#include <string_view>

#include "kernels/common/check.h"

namespace felbo {
namespace {

constexpr int kDefaultEpochs = 20;
constexpr int kMostEpochs = 1'000'000;
constexpr int kPaperStages = 8;
constexpr std::string_view kStages = "stages:";
constexpr const char* kForms =
    "accepted are: constant, cosine, stages:N (N = 1 to 8, the first N stages of the IWAE paper) and "
    "stages:EPOCHS@RATE,EPOCHS@RATE,... as in stages:10@1e-3,5@1e-4";

/// Sets `value` to the number that the whole of `text` is; false if it is none.
template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// Positive, and finite also in float, in which the optimiser computes.
bool is_rate(double value) { return value > 0 && value <= std::numeric_limits<float>::max(); }
bool is_epochs(int value) { return value >= 1 && value <= kMostEpochs; }

}  // namespace

std::vector<LrSchedule::Stage> LrSchedule::paper_stages(int count, double base_lr) {
  std::vector<Stage> stages;
  int epochs = 1;
  for (int i = 0; i < count; ++i, epochs *= 3) stages.push_back({epochs, base_lr * std::pow(10.0, -i / 7.0)});
  return stages;
}

LrSchedule::Stage LrSchedule::parse_stage(std::string_view text) {
  Stage stage;
  const std::size_t at = std::min(text.find('@'), text.size());
  const bool complete = at < text.size() && parse_number(text.substr(0, at), stage.epochs) &&
                        parse_number(text.substr(at + 1), stage.rate);
  FELBO_CHECK(complete, "--lr-schedule: '{}' is not EPOCHS@RATE; {}", text, kForms);
  FELBO_CHECK(is_epochs(stage.epochs), "--lr-schedule: '{}': a stage has 1 to {} epochs", text, kMostEpochs);
  FELBO_CHECK(is_rate(stage.rate), "--lr-schedule: '{}': a rate is positive and finite", text);
  return stage;
}

std::vector<LrSchedule::Stage> LrSchedule::parse_stages(std::string_view list, double base_lr) {
  int count = 0;
  if (parse_number(list, count)) {
    FELBO_CHECK(count >= 1 && count <= kPaperStages,
                "--lr-schedule stages:{}: the IWAE paper has {} stages; {}", count, kPaperStages, kForms);
    return paper_stages(count, base_lr);
  }
  std::vector<Stage> stages;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    stages.push_back(parse_stage(list.substr(begin, end - begin)));
    begin = end + 1;
  }
  return stages;
}

LrSchedule LrSchedule::parse(const std::string& text, double base_lr, std::optional<int> epochs,
                             double warmup_epochs) {
  FELBO_CHECK(is_rate(base_lr), "--lr {}: the learning rate must be positive and finite, as in 1e-3",
              base_lr);
  FELBO_CHECK(!epochs || is_epochs(*epochs), "--epochs {}: expected 1 to {}", *epochs, kMostEpochs);
  FELBO_CHECK(text == "constant" || text == "cosine" || text.starts_with(kStages),
              "--lr-schedule '{}' is unknown; {}", text, kForms);
  LrSchedule schedule;
  schedule.cosine_ = text == "cosine";
  if (text.starts_with(kStages)) {
    schedule.stages_ = parse_stages(std::string_view(text).substr(kStages.size()), base_lr);
    schedule.uses_base_rate_ = text.find('@') == std::string::npos;
  } else {
    schedule.stages_ = {{epochs.value_or(kDefaultEpochs), base_lr}};
  }
  std::int64_t total = 0;
  for (const Stage& stage : schedule.stages_) total += stage.epochs;
  FELBO_CHECK(total <= kMostEpochs, "--lr-schedule {}: its stages sum to {} epochs; expected 1 to {}", text,
              total, kMostEpochs);
  FELBO_CHECK(!epochs || *epochs == total,
              "--lr-schedule {0} runs {1} epochs, but --epochs {2} was given; leave --epochs out or give "
              "--epochs {1}",
              text, total, *epochs);
  FELBO_CHECK(warmup_epochs >= 0 && warmup_epochs <= static_cast<double>(total),
              "a warm-up of {} epochs is not possible in a run of {}; expected 0 to {}", warmup_epochs, total,
              total);
  schedule.epochs_ = static_cast<int>(total);
  schedule.warmup_epochs_ = warmup_epochs;
  return schedule;
}

double LrSchedule::rate(std::int64_t step, std::int64_t steps_per_epoch) const {
  FELBO_CHECK(step >= 0 && steps_per_epoch >= 1, "there is no step {} in epochs of {} steps", step,
              steps_per_epoch);
  const double full = stage_rate(step / steps_per_epoch);
  double decay = 1;
  if (cosine_) {
    const double total = static_cast<double>(epochs_) * static_cast<double>(steps_per_epoch);
    const double progress = std::min(static_cast<double>(step) / total, 1.0);
    decay = progress < 1 ? 0.5 * (1 + std::cos(std::numbers::pi * progress)) : 0.0;
  }
  return full * decay * warmup_factor(step, steps_per_epoch);
}

double LrSchedule::stage_rate(std::int64_t epoch) const {
  std::int64_t end = 0;
  for (const Stage& stage : stages_) {
    end += stage.epochs;
    if (epoch < end) return stage.rate;
  }
  return stages_.back().rate;
}

double LrSchedule::warmup_factor(std::int64_t step, std::int64_t steps_per_epoch) const {
  const double steps = std::round(warmup_epochs_ * static_cast<double>(steps_per_epoch));
  return static_cast<double>(step) + 1 < steps ? (static_cast<double>(step) + 1) / steps : 1.0;
}

}  // namespace felbo
