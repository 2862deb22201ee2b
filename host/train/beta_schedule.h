// The weight of the KL at each optimiser step.
#pragma once

#include <cstdint>
#include <string>

namespace felbo {

/// beta as a pure function of the step, so that a resumed run goes on as if it had never stopped.
class BetaSchedule {
 public:
  /// Parses the text of `--beta-schedule`:
  /// - `constant`: beta throughout.
  /// - `linear:E`: from 0 at the first step to beta over E epochs (Bowman et al., CoNLL 2016), then beta.
  /// - `cyclic:E` or `cyclic:E@R`: every E epochs from 0 to beta over the first share R of them, 0.5 if not
  ///   given, then beta (Fu et al., NAACL 2019).
  /// E may be a fraction. Throws std::invalid_argument with the accepted forms if the text is none of them, E
  /// is not positive and at most 1,000,000, R is not above 0 and at most 1, or beta is not between 0 and 1e6.
  static BetaSchedule parse(const std::string& text, double beta);

  /// beta of step `step` of the run, counted from 0, where an epoch has `steps_per_epoch` steps.
  double beta(std::int64_t step, std::int64_t steps_per_epoch) const;

  /// Whether the KL weighs 1 at every step: the objective is then a bound on log p(x).
  bool is_one() const { return beta_ == 1.0 && rise_ == 0.0; }

 private:
  double beta_ = 1.0;
  double rise_ = 0.0;    // epochs; 0: constant
  double period_ = 0.0;  // epochs; 0: rises once
};

}  // namespace felbo
