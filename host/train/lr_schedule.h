// The learning rate of each optimiser step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace felbo {

/// The learning rate as a pure function of the step, so that a resumed run goes on as if it had never
/// stopped.
class LrSchedule {
 public:
  /// Parses the text of `--lr-schedule`:
  /// - `constant`: base_lr throughout.
  /// - `cosine`: base_lr * (1 + cos(pi * step / steps of the run)) / 2, from base_lr to 0.
  /// - `stages:N`: the first N (1 to 8) stages of Burda, Grosse & Salakhutdinov, "Importance Weighted
  ///   Autoencoders" (ICLR 2016), section 5: stage i has 3^(i-1) epochs at base_lr * 10^(-(i-1)/7).
  ///   stages:8 is the paper's schedule of 3280 epochs, with its base_lr of 1e-3.
  /// - `stages:E@LR,E@LR,...`: E epochs at rate LR, and so on. base_lr takes no part: see uses_base_rate().
  ///
  /// Over the first w steps, w = `warmup_epochs` (0 or more, may be a fraction) in steps, rounded, the rate
  /// is multiplied by a factor that rises linearly from 1 / w at the first step to 1 at the last of them.
  ///
  /// `epochs` is what the user asked for, if anything. Without it, constant and cosine take 20. Stages define
  /// the number themselves.
  ///
  /// Throws std::invalid_argument with the accepted forms if the text is none of them; for a rate that is not
  /// positive and finite; for epochs outside 1 to 1,000,000; for `epochs` that differ from the stages' sum;
  /// for a warm-up that is negative or longer than the run.
  static LrSchedule parse(const std::string& text, double base_lr, std::optional<int> epochs,
                          double warmup_epochs);

  /// The length of the run.
  int epochs() const { return epochs_; }

  /// The rate of step `step` of the run, counted from 0, where an epoch has `steps_per_epoch` steps. Past the
  /// run's end it stays at its final value. Throws std::invalid_argument if `step` is negative or
  /// `steps_per_epoch` below 1.
  double rate(std::int64_t step, std::int64_t steps_per_epoch) const;

  /// False for stages with rates of their own, where a base rate given by the user would be ignored.
  bool uses_base_rate() const { return uses_base_rate_; }

 private:
  struct Stage {
    int epochs = 0;
    double rate = 0;
  };
  static Stage parse_stage(std::string_view text);
  static std::vector<Stage> parse_stages(std::string_view list, double base_lr);
  static std::vector<Stage> paper_stages(int count, double base_lr);
  double stage_rate(std::int64_t epoch) const;
  double warmup_factor(std::int64_t step, std::int64_t steps_per_epoch) const;

  std::vector<Stage> stages_;  // at least one
  bool cosine_ = false;        // one stage, whose rate falls to 0
  bool uses_base_rate_ = true;
  int epochs_ = 0;
  double warmup_epochs_ = 0;
};

}  // namespace felbo
