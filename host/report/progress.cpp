#include "host/report/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "kernels/common/check.h"

namespace felbo {
namespace {

constexpr double kSecondsBetweenDraws = 0.1;
constexpr int kShortestBar = 10;
constexpr int kLongestBar = 30;
constexpr int kWidthIfUnknown = 80;
constexpr std::string_view kClearToEnd = "\x1b[K";

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Two decimals; every NaN as `nan`, whatever its sign.
std::string nats(double value) { return std::isnan(value) ? "nan" : fmt::format("{:.2f}", value); }

std::string terms_text(const ElboTerms& terms) {
  return fmt::format("= log p(x|z) {} - KL {}", nats(terms.log_px_given_z), nats(terms.kl));
}

std::string bar_text(double done, int size) {
  const int filled = std::clamp(static_cast<int>(done * size), 0, size);
  const bool full = filled == size;
  return fmt::format("[{}{}{}]", std::string(filled, '='), full ? "" : ">",
                     std::string(size - filled - !full, ' '));
}

/// What follows the bar, from the fullest text to the shortest.
std::array<std::string, 5> tails(const ProgressState& state, double done) {
  const std::string percent = fmt::format("{:3}%", static_cast<int>(100 * done));
  const std::string rate = percent + "  " + format_rate(state.samples_per_second);
  const std::string eta = rate + "  ETA " + format_duration(state.seconds_left);
  const std::string elbo = eta + "  ELBO " + nats(state.train.elbo);
  return {elbo + " " + terms_text(state.train) + " nats", elbo + " nats", eta, rate, percent};
}

ProgressKind resolve(ProgressKind kind, std::FILE* file) {
  if (kind != ProgressKind::kAuto) return kind;
  const char* term = std::getenv("TERM");
  const bool dumb = term != nullptr && std::string_view(term) == "dumb";
  return ::isatty(::fileno(file)) != 0 && !dumb ? ProgressKind::kBar : ProgressKind::kLines;
}

}  // namespace

std::string format_duration(double seconds) {
  if (!(seconds >= 0 && seconds <= 36e6)) return "--:--";
  const long total = std::lround(seconds);
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

std::string format_rate(double samples_per_second) {
  if (!std::isfinite(samples_per_second) || samples_per_second < 0) return "-- samples/s";
  if (samples_per_second < 999.5) return fmt::format("{:.0f} samples/s", samples_per_second);
  if (samples_per_second < 999.95e3) return fmt::format("{:.1f}k samples/s", samples_per_second / 1e3);
  if (samples_per_second < 999.95e6) return fmt::format("{:.1f}M samples/s", samples_per_second / 1e6);
  return fmt::format("{:.1f}G samples/s", samples_per_second / 1e9);
}

std::string progress_bar_line(const ProgressState& state, int width) {
  const int room = std::max(width - 1, 0);
  const double done = std::clamp(
      static_cast<double>(state.step) / static_cast<double>(std::max<std::int64_t>(state.steps_per_epoch, 1)),
      0.0, 1.0);
  const std::string head = fmt::format("epoch {}/{} ", state.epoch, state.epochs);
  const std::array<std::string, 5> candidates = tails(state, done);
  for (const std::string& tail : candidates) {
    const int bar = room - static_cast<int>(head.size() + tail.size()) - 3;  // two brackets and a blank
    if (bar < kShortestBar) continue;
    return fmt::format("{}{} {}", head, bar_text(done, std::min(bar, kLongestBar)), tail);
  }
  return (head + candidates.back()).substr(0, static_cast<std::size_t>(room));
}

std::string epoch_line(const EpochLine& line) {
  return fmt::format("epoch {}/{}  {} ELBO {} {} nats a datum  (train ELBO {})  lr {:.2e}  {}  clamped {}",
                     line.epoch, line.epochs, line.evaluated_on, nats(line.evaluated.elbo),
                     terms_text(line.evaluated), nats(line.train_elbo), line.learning_rate,
                     format_rate(line.samples_per_second), line.clamped);
}

Progress::Progress(int epochs, std::int64_t steps_per_epoch, ProgressKind kind, int first_epoch,
                   ProgressStream stream)
    : stream_(std::move(stream)), kind_(resolve(kind, stream_.file)) {
  FELBO_CHECK(epochs >= 1 && steps_per_epoch >= 1, "a run has 1 epoch of 1 step or more, not {} of {}",
              epochs, steps_per_epoch);
  FELBO_CHECK(first_epoch >= 1 && first_epoch <= epochs + 1, "a run of {} epochs cannot go on at epoch {}",
              epochs, first_epoch);
  if (!stream_.now) stream_.now = steady_seconds;
  state_.epochs = epochs;
  state_.steps_per_epoch = steps_per_epoch;
  run_start_ = stream_.now();
  begin_epoch(first_epoch);
}

Progress::~Progress() { finish(); }

void Progress::begin_epoch(int epoch, std::int64_t steps_done) {
  state_.epoch = epoch;
  state_.step = steps_done;
  samples_in_epoch_ = 0;
  epoch_start_ = stream_.now();
  last_step_ = epoch_start_;
}

void Progress::step(std::int64_t samples, const std::function<ElboTerms()>& terms) {
  ++state_.step;
  ++steps_done_;
  samples_in_epoch_ += samples;
  const double now = stream_.now();
  last_step_ = now;
  if (kind_ == ProgressKind::kBar && now - last_draw_ >= kSecondsBetweenDraws) draw(terms(), now);
}

void Progress::end_epoch(const EpochLine& line) {
  if (kind_ != ProgressKind::kOff) print_line(epoch_line(line));
}

void Progress::print_line(std::string_view text) {
  // Cleared first: after a text that fills the terminal's last column, clearing would take its last
  // character.
  write(fmt::format("{}{}{}\n", bar_shown_ ? "\r" : "", bar_shown_ ? kClearToEnd : "", text));
  bar_shown_ = false;
}

void Progress::finish() noexcept {
  if (bar_shown_) write("\n");
  bar_shown_ = false;
}

double Progress::samples_per_second() const {
  if (samples_in_epoch_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(samples_in_epoch_) / (last_step_ - epoch_start_);
}

int Progress::terminal_width() const {
  winsize size{};
  const bool known = ::ioctl(::fileno(stream_.file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kWidthIfUnknown;
}

/// From this process's own mean time a step, evaluations between the epochs included.
double Progress::seconds_left(double now) const {
  const double total = static_cast<double>(state_.epochs) * static_cast<double>(state_.steps_per_epoch);
  const double done = static_cast<double>(state_.epoch - 1) * static_cast<double>(state_.steps_per_epoch) +
                      static_cast<double>(state_.step);
  return std::max(total - done, 0.0) * (now - run_start_) / static_cast<double>(steps_done_);
}

void Progress::draw(const ElboTerms& terms, double now) {
  state_.train = terms;
  state_.samples_per_second = samples_per_second();
  state_.seconds_left = seconds_left(now);
  write(fmt::format("\r{}{}", progress_bar_line(state_, terminal_width()), kClearToEnd));
  last_draw_ = now;
  bar_shown_ = true;
}

void Progress::write(std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stream_.file);
  std::fflush(stream_.file);
}

}  // namespace felbo
