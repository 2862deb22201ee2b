// What a training run shows on standard error: a bar on a terminal, a line an epoch elsewhere.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

namespace felbo {

/// A bound and its two terms in nats a datum: summed over dimensions, averaged over data. NaN: not known.
struct ElboTerms {
  double elbo = std::numeric_limits<double>::quiet_NaN();
  double log_px_given_z = std::numeric_limits<double>::quiet_NaN();
  double kl = std::numeric_limits<double>::quiet_NaN();
};

/// What the bar shows.
struct ProgressState {
  int epoch = 1;  // counted from 1
  int epochs = 1;
  std::int64_t step = 0;  // steps done of the epoch's
  std::int64_t steps_per_epoch = 1;
  double samples_per_second = std::numeric_limits<double>::quiet_NaN();
  double seconds_left = std::numeric_limits<double>::quiet_NaN();  // of the whole run; NaN: not known
  ElboTerms train;
};

/// The summary of one epoch.
struct EpochLine {
  int epoch = 1;  // counted from 1
  int epochs = 1;
  std::string evaluated_on = "held-out";  // the rows that `evaluated` comes from
  ElboTerms evaluated;
  double train_elbo = std::numeric_limits<double>::quiet_NaN();
  double learning_rate = 0;
  double samples_per_second = std::numeric_limits<double>::quiet_NaN();
  std::int64_t clamped = 0;  // log_var values that the clamp held in this epoch
};

/// `0:42`, `59:59`, `1:00:00`; `--:--` if `seconds` is no time (NaN, negative, infinite or beyond 10,000
/// hours).
std::string format_duration(double seconds);

/// `812 samples/s`, `78.2k samples/s`, `1.5M samples/s`; `-- samples/s` if the rate is not known.
std::string format_rate(double samples_per_second);

/// One line of at most `width` - 1 columns (a full line would make some terminals wrap), ASCII, as in
/// `epoch 3/20 [=====>     ]  45%  78.2k samples/s  ETA 0:42  ELBO -103.52 = log p(x|z) -78.31 - KL 25.21
/// nats`. Bar and per cent are of the epoch, the ETA is of the run. Where it does not fit, the terms go
/// first, then the ELBO, the ETA, the rate and the bar.
std::string progress_bar_line(const ProgressState& state, int width);

/// `epoch 3/20  held-out ELBO -103.52 = log p(x|z) -78.31 - KL 25.21 nats a datum  (train ELBO -102.10)
/// lr 1.00e-03 78.2k samples/s  clamped 0`, on one line.
std::string epoch_line(const EpochLine& line);

/// How a Progress shows itself. kAuto: a bar on a terminal, lines elsewhere or if TERM is `dumb`.
enum class ProgressKind { kAuto, kBar, kLines, kOff };

/// Where a Progress writes and what time it is; the defaults are what the program uses.
struct ProgressStream {
  std::FILE* file = stderr;
  std::function<double()> now;  // seconds from any start; empty: the steady clock
};

/// Shows how a training run gets on. The bar is redrawn at most 10 times a second, with one write and no
/// clearing of what stays the same, so that it does not flicker. While a bar is on the screen, write other
/// lines through print_line(). Not for use by two threads at once.
class Progress {
 public:
  /// `first_epoch` (from 1) is that of a resumed run's next epoch. Throws std::invalid_argument if `epochs`
  /// or `steps_per_epoch` is below 1 or `first_epoch` outside 1 to `epochs` + 1.
  Progress(int epochs, std::int64_t steps_per_epoch, ProgressKind kind = ProgressKind::kAuto,
           int first_epoch = 1, ProgressStream stream = {});
  /// Calls finish().
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Starts epoch `epoch` (from 1), of which an earlier process has done `steps_done` steps.
  void begin_epoch(int epoch, std::int64_t steps_done = 0);
  /// One step over `samples` data is done. `terms` is called only if the bar is redrawn now.
  void step(std::int64_t samples, const std::function<ElboTerms()>& terms);
  /// Prints the epoch's line (unless kOff), also above the bar.
  void end_epoch(const EpochLine& line);
  /// Prints any other line: above the bar where there is one. Also if kOff.
  void print_line(std::string_view text);
  /// Leaves the cursor at the start of a line; a bar that is shown stays above it. May be called again.
  void finish() noexcept;

  /// Training rate of the epoch that runs, in samples a second of wall time since begin_epoch(); NaN before
  /// its first step.
  double samples_per_second() const;

 private:
  int terminal_width() const;
  double seconds_left(double now) const;
  void draw(const ElboTerms& terms, double now);
  void write(std::string_view text) noexcept;

  ProgressStream stream_;
  ProgressKind kind_;
  ProgressState state_;
  double run_start_ = 0;
  double epoch_start_ = 0;
  double last_step_ = 0;
  double last_draw_ = -std::numeric_limits<double>::infinity();
  std::int64_t samples_in_epoch_ = 0;
  std::int64_t steps_done_ = 0;  // by this process
  bool bar_shown_ = false;
};

}  // namespace felbo
