#include "host/train/beta_schedule.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "kernels/common/check.h"

namespace felbo {
namespace {

constexpr double kMostEpochs = 1e6, kMostBeta = 1e6;
constexpr const char* kForms =
    "accepted are: constant, linear:EPOCHS and cyclic:EPOCHS@SHARE (or cyclic:EPOCHS), as in linear:10 and "
    "cyclic:5@0.5";

double number(std::string_view text, const std::string& whole) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  FELBO_CHECK(error == std::errc() && end == text.data() + text.size() && !text.empty(),
              "--beta-schedule {}: '{}' is not a number; {}", whole, text, kForms);
  return value;
}

double epochs(std::string_view text, const std::string& whole) {
  const double value = number(text, whole);
  FELBO_CHECK(value > 0 && value <= kMostEpochs, "--beta-schedule {}: epochs must be above 0 and at most {}",
              whole, kMostEpochs);
  return value;
}

}  // namespace

BetaSchedule BetaSchedule::parse(const std::string& text, double beta) {
  constexpr std::string_view kLinear = "linear:", kCyclic = "cyclic:";
  FELBO_CHECK(beta >= 0 && beta <= kMostBeta, "--beta must be between 0 and {}, got {}", kMostBeta, beta);
  BetaSchedule schedule;
  schedule.beta_ = beta;
  if (text == "constant") return schedule;
  if (text.starts_with(kLinear)) {
    schedule.rise_ = epochs(std::string_view(text).substr(kLinear.size()), text);
    return schedule;
  }
  FELBO_CHECK(text.starts_with(kCyclic), "--beta-schedule '{}' is unknown; {}", text, kForms);
  const std::string_view rest = std::string_view(text).substr(kCyclic.size());
  const std::size_t at = std::min(rest.find('@'), rest.size());
  schedule.period_ = epochs(rest.substr(0, at), text);
  const double share = at < rest.size() ? number(rest.substr(at + 1), text) : 0.5;
  FELBO_CHECK(share > 0 && share <= 1, "--beta-schedule {}: the share must be above 0 and at most 1", text);
  schedule.rise_ = share * schedule.period_;
  return schedule;
}

double BetaSchedule::beta(std::int64_t step, std::int64_t steps_per_epoch) const {
  FELBO_CHECK(step >= 0 && steps_per_epoch >= 1, "there is no step {} in epochs of {} steps", step,
              steps_per_epoch);
  if (rise_ == 0.0) return beta_;
  double epoch = static_cast<double>(step) / static_cast<double>(steps_per_epoch);
  if (period_ > 0.0) epoch = std::fmod(epoch, period_);
  return beta_ * std::min(1.0, epoch / rise_);
}

}  // namespace felbo
