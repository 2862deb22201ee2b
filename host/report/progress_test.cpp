#include "host/report/progress.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <stdexcept>

#include "host/run/test_files.h"

namespace felbo {
namespace {

using testing_files::has;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

ProgressState example_state() {
  ProgressState state;
  state.epoch = 3;
  state.epochs = 20;
  state.step = 211;
  state.steps_per_epoch = 468;
  state.samples_per_second = 78'200;
  state.seconds_left = 42;
  state.train = {-103.52, -78.31, 25.21};
  return state;
}

EpochLine example_line() {
  EpochLine line;
  line.epoch = 3;
  line.epochs = 20;
  line.evaluated = {-103.52, -78.31, 25.21};
  line.train_elbo = -102.1;
  line.learning_rate = 1e-3;
  line.samples_per_second = 78'200;
  return line;
}

/// What a Progress writes, kept in memory, with a clock that the test sets.
class Recorder {
 public:
  Recorder() : file_(::open_memstream(&text_, &size_)) {}
  ~Recorder() {
    std::fclose(file_);
    std::free(text_);
  }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  ProgressStream stream() {
    return {file_, [this] { return now; }};
  }
  std::string text() const {
    std::fflush(file_);
    return {text_, size_};
  }
  double now = 1000;

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* file_;
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

ElboTerms no_terms() { return {}; }

TEST(ProgressTest, DurationsAreMinutesAndSecondsThenHours) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(41.6), "0:42");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(754), "12:34");
  EXPECT_EQ(format_duration(3599.4), "59:59");
  EXPECT_EQ(format_duration(3599.6), "1:00:00");
  EXPECT_EQ(format_duration(30 * 3600 + 62), "30:01:02");
  for (const double unknown : {kNan, -kNan, kInf, -kInf, -1.0, 1e300})
    EXPECT_EQ(format_duration(unknown), "--:--");
}

TEST(ProgressTest, RatesHaveAUnit) {
  EXPECT_EQ(format_rate(0), "0 samples/s");
  EXPECT_EQ(format_rate(812.3), "812 samples/s");
  EXPECT_EQ(format_rate(999.6), "1.0k samples/s");
  EXPECT_EQ(format_rate(78'249), "78.2k samples/s");
  EXPECT_EQ(format_rate(999'960), "1.0M samples/s");
  EXPECT_EQ(format_rate(1.25e6), "1.2M samples/s");
  EXPECT_EQ(format_rate(3.04e9), "3.0G samples/s");
  for (const double unknown : {kNan, kInf, -1.0}) EXPECT_EQ(format_rate(unknown), "-- samples/s");
}

TEST(ProgressTest, AWideTerminalShowsEverything) {
  EXPECT_EQ(progress_bar_line(example_state(), 200),
            "epoch 3/20 [=============>                ]  45%  78.2k samples/s  ETA 0:42  "
            "ELBO -103.52 = log p(x|z) -78.31 - KL 25.21 nats");
}

TEST(ProgressTest, ANarrowTerminalDropsFieldsFromTheRight) {
  const ProgressState state = example_state();
  const std::string head = "epoch 3/20 [====>     ]  45%";  // the shortest bar
  const std::string all =
      head + "  78.2k samples/s  ETA 0:42  ELBO -103.52 = log p(x|z) -78.31 - KL 25.21 nats";
  const int fits = static_cast<int>(all.size()) + 1;
  EXPECT_EQ(progress_bar_line(state, fits), all);
  EXPECT_TRUE(has(progress_bar_line(state, fits - 1), "ETA 0:42  ELBO -103.52 nats"));
  EXPECT_EQ(progress_bar_line(state, 75), head + "  78.2k samples/s  ETA 0:42  ELBO -103.52 nats");
  EXPECT_TRUE(progress_bar_line(state, 74).ends_with("  45%  78.2k samples/s  ETA 0:42"));
  EXPECT_TRUE(progress_bar_line(state, 55).ends_with("  45%  78.2k samples/s"));
  EXPECT_TRUE(progress_bar_line(state, 45).ends_with("]  45%"));
  EXPECT_EQ(progress_bar_line(state, 29), head);
  EXPECT_EQ(progress_bar_line(state, 28), "epoch 3/20  45%");
  EXPECT_EQ(progress_bar_line(state, 16), "epoch 3/20  45%");
  EXPECT_EQ(progress_bar_line(state, 9), "epoch 3/");
}

TEST(ProgressTest, ALineNeverReachesTheLastColumn) {
  ProgressState state = example_state();
  for (const std::int64_t step : {0, 1, 234, 467, 468}) {
    state.step = step;
    for (int width = -1; width <= 250; ++width) {
      const std::string line = progress_bar_line(state, width);
      ASSERT_LE(static_cast<int>(line.size()), std::max(width - 1, 0));
      for (const char c : line) ASSERT_TRUE(c >= ' ' && c <= '~');
    }
  }
}

TEST(ProgressTest, TheBarFillsFromNothingToAll) {
  ProgressState state = example_state();
  state.steps_per_epoch = 1000;
  state.step = 0;
  EXPECT_TRUE(has(progress_bar_line(state, 29), "[>         ]   0%"));
  state.step = 999;  // 100 % is for what is done
  EXPECT_TRUE(has(progress_bar_line(state, 29), "[=========>]  99%"));
  state.step = 1000;
  EXPECT_TRUE(has(progress_bar_line(state, 29), "[==========] 100%"));
  state.step = 1001;
  EXPECT_TRUE(has(progress_bar_line(state, 29), "[==========] 100%"));
  state.steps_per_epoch = 0;
  EXPECT_TRUE(has(progress_bar_line(state, 29), "100%"));
}

TEST(ProgressTest, WhatIsNotKnownIsShownAsSuch) {
  ProgressState state;
  state.train = {-kNan, kInf, kNan};
  EXPECT_TRUE(has(progress_bar_line(state, 200),
                  "0%  -- samples/s  ETA --:--  ELBO nan = log p(x|z) inf - KL nan nats"));
}

TEST(ProgressTest, TheEpochLineHoldsEveryFigureAndUnit) {
  EpochLine line = example_line();
  EXPECT_EQ(
      epoch_line(line),
      "epoch 3/20  held-out ELBO -103.52 = log p(x|z) -78.31 - KL 25.21 nats a datum  (train ELBO -102.10)  "
      "lr 1.00e-03  78.2k samples/s  clamped 0");
  line.evaluated_on = "training-set";
  line.evaluated.kl = -kNan;
  line.train_elbo = kNan;
  line.learning_rate = 3.727594e-4;
  line.clamped = 1234567;
  EXPECT_EQ(
      epoch_line(line),
      "epoch 3/20  training-set ELBO -103.52 = log p(x|z) -78.31 - KL nan nats a datum  (train ELBO nan)  "
      "lr 3.73e-04  78.2k samples/s  clamped 1234567");
}

TEST(ProgressTest, LinesAreAllThatAFileGets) {
  ::setenv("TERM", "xterm", 1);
  Recorder recorder;
  Progress progress(2, 3, ProgressKind::kAuto, 1, recorder.stream());
  for (int step = 0; step < 3; ++step, recorder.now += 1) {
    progress.step(10, []() -> ElboTerms { throw std::logic_error("no line needs the terms of a step"); });
  }
  EXPECT_EQ(recorder.text(), "");
  progress.end_epoch(example_line());
  progress.print_line("a warning");
  progress.finish();
  EXPECT_EQ(recorder.text(), epoch_line(example_line()) + "\na warning\n");
}

TEST(ProgressTest, OffShowsOnlyOtherLines) {
  Recorder recorder;
  Progress progress(1, 1, ProgressKind::kOff, 1, recorder.stream());
  progress.step(1, no_terms);
  progress.end_epoch(example_line());
  progress.print_line("a warning");
  EXPECT_EQ(recorder.text(), "a warning\n");
}

TEST(ProgressTest, TheBarIsRedrawnAtMostTenTimesASecond) {
  Recorder recorder;
  Progress progress(1, 1000, ProgressKind::kBar, 1, recorder.stream());
  int calls = 0;
  for (int step = 0; step < 1000; ++step) {
    recorder.now = 1000 + 0.003 * (step + 1);  // three seconds
    progress.step(128, [&] {
      ++calls;
      return ElboTerms{-1, -2, -1};
    });
  }
  EXPECT_GE(calls, 25);
  EXPECT_LE(calls, 31);
  const std::string text = recorder.text();
  EXPECT_EQ(count(text, "\r"), static_cast<std::size_t>(calls));
  EXPECT_EQ(count(text, "\x1b[K"), static_cast<std::size_t>(calls));
  EXPECT_EQ(count(text, "\n"), 0u);
  // Short epochs do not make it more.
  for (int epoch = 0; epoch < 50; ++epoch, recorder.now += 0.001) {
    progress.begin_epoch(1);
    progress.step(128, no_terms);
    progress.end_epoch(example_line());
  }
  EXPECT_LE(count(recorder.text(), "epoch 1/1 ["), static_cast<std::size_t>(calls) + 1);
  EXPECT_EQ(count(recorder.text(), "\n"), 50u);
}

TEST(ProgressTest, RateAndTimeLeftComeFromTheClock) {
  Recorder recorder;
  Progress progress(4, 10, ProgressKind::kBar, 1, recorder.stream());
  EXPECT_TRUE(std::isnan(progress.samples_per_second()));
  recorder.now += 2;
  progress.step(100, no_terms);  // one of 40 steps in 2 s: 78 s are left
  EXPECT_DOUBLE_EQ(progress.samples_per_second(), 50);
  EXPECT_TRUE(has(recorder.text(), "epoch 1/4 ["));
  EXPECT_TRUE(has(recorder.text(), " 10%  50 samples/s  ETA 1:18"));
  for (int step = 1; step < 10; ++step) progress.step(100, no_terms);
  recorder.now += 8;  // an evaluation: it counts for the time left, not for the training rate
  EXPECT_DOUBLE_EQ(progress.samples_per_second(), 500);
  progress.begin_epoch(2);
  recorder.now += 1;
  progress.step(100, no_terms);  // 11 steps in 11 s, 29 left
  EXPECT_TRUE(has(recorder.text(), "epoch 2/4 ["));
  EXPECT_TRUE(has(recorder.text(), " 10%  100 samples/s  ETA 0:29"));
}

TEST(ProgressTest, AResumedRunCountsOnlyItsOwnTime) {
  Recorder recorder;
  Progress progress(10, 4, ProgressKind::kBar, 9, recorder.stream());
  recorder.now += 3;
  progress.step(1, no_terms);  // 7 of the last two epochs' 8 steps are left
  EXPECT_TRUE(has(recorder.text(), "epoch 9/10 ["));
  EXPECT_TRUE(has(recorder.text(), "ETA 0:21"));
}

TEST(ProgressTest, OtherLinesStandAboveTheBar) {
  Recorder recorder;
  Progress progress(2, 10, ProgressKind::kBar, 1, recorder.stream());
  recorder.now += 1;
  progress.step(1, no_terms);
  const std::string before = recorder.text();
  progress.print_line("a warning");
  EXPECT_EQ(recorder.text(), before + "\r\x1b[Ka warning\n");
  progress.print_line("another");
  EXPECT_EQ(recorder.text(), before + "\r\x1b[Ka warning\nanother\n");
  progress.finish();  // the cursor is on a new line already
  EXPECT_EQ(recorder.text(), before + "\r\x1b[Ka warning\nanother\n");
}

TEST(ProgressTest, TheEndLeavesTheCursorOnANewLineOnce) {
  Recorder recorder;
  {
    Progress progress(1, 10, ProgressKind::kBar, 1, recorder.stream());
    recorder.now += 1;
    progress.step(1, no_terms);
    EXPECT_FALSE(recorder.text().ends_with("\n"));
    progress.finish();
    EXPECT_TRUE(recorder.text().ends_with("\x1b[K\n"));
  }
  EXPECT_EQ(count(recorder.text(), "\n"), 1u);
}

TEST(ProgressTest, AnExceptionLeavesTheCursorOnANewLine) {
  Recorder recorder;
  try {
    Progress progress(1, 10, ProgressKind::kBar, 1, recorder.stream());
    progress.step(1, no_terms);
    throw std::runtime_error("the run fails");
  } catch (const std::runtime_error&) {
  }
  EXPECT_TRUE(recorder.text().ends_with("\x1b[K\n"));
}

TEST(ProgressTest, ImpossibleRunsAreRefused) {
  EXPECT_THROW(Progress(0, 1), std::invalid_argument);
  EXPECT_THROW(Progress(1, 0), std::invalid_argument);
  EXPECT_THROW(Progress(3, 1, ProgressKind::kOff, 0), std::invalid_argument);
  EXPECT_THROW(Progress(3, 1, ProgressKind::kOff, 5), std::invalid_argument);
  EXPECT_NO_THROW(Progress(3, 1, ProgressKind::kOff, 4));  // nothing is left to do
}

/// A pseudo-terminal: what is written to `file` is seen as a terminal shows it.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) {
    master_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master_ < 0 || ::grantpt(master_) != 0 || ::unlockpt(master_) != 0) return;
    const int slave = ::open(::ptsname(master_), O_RDWR | O_NOCTTY);
    if (slave < 0) return;
    const winsize size{24, columns, 0, 0};
    ::ioctl(slave, TIOCSWINSZ, &size);
    file = ::fdopen(slave, "w");
  }
  ~Terminal() {
    if (file != nullptr) std::fclose(file);
    if (master_ >= 0) ::close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  std::string text() const {
    char buffer[4096];
    const ssize_t n = ::read(master_, buffer, sizeof buffer);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "";
  }
  std::FILE* file = nullptr;

 private:
  int master_ = -1;
};

TEST(ProgressTest, ATerminalGetsABarOfItsWidth) {
  ::setenv("TERM", "xterm", 1);
  for (const unsigned short columns : {40, 71, 120}) {
    const Terminal terminal(columns);
    if (terminal.file == nullptr) GTEST_SKIP() << "NOT CHECKED: this machine gives no pseudo-terminal";
    Progress progress(20, 468, ProgressKind::kAuto, 3, {terminal.file, [] { return 0.0; }});
    progress.step(128, no_terms);
    ProgressState state;
    state.epoch = 3;
    state.epochs = 20;
    state.step = 1;
    state.steps_per_epoch = 468;
    state.seconds_left = 0;
    EXPECT_EQ(terminal.text(), fmt::format("\r{}\x1b[K", progress_bar_line(state, columns)));
  }
}

TEST(ProgressTest, ATerminalWithoutABarGetsLines) {
  ::setenv("TERM", "dumb", 1);
  const Terminal terminal(80);
  if (terminal.file == nullptr) GTEST_SKIP() << "NOT CHECKED: this machine gives no pseudo-terminal";
  Progress progress(20, 468, ProgressKind::kAuto, 1, {terminal.file, {}});
  progress.step(128, no_terms);
  EXPECT_EQ(terminal.text(), "");
}

}  // namespace
}  // namespace felbo
