#include "host/check/parity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace felbo::checks {
namespace {

constexpr std::int64_t kReported = 3;

/// The error as a share of its tolerance; infinity for a NaN.
double share_of(double error, double tolerance) {
  if (error == 0.0 && tolerance >= 0.0) return 0.0;
  const double share = error / tolerance;
  return std::isnan(share) ? std::numeric_limits<double>::infinity() : share;
}

}  // namespace

void Parity::begin_case(const std::string& label) {
  label_ = label + ": ";
  ++cases_;
}

void Parity::compare(const std::string& what, View<const float, 2> got, const std::vector<double>& want,
                     const std::vector<double>& tolerance) {
  if (static_cast<std::int64_t>(want.size()) != got.rows * got.cols || want.size() != tolerance.size()) {
    fail(what + ": shapes differ");
    return;
  }
  for (std::int64_t i = 0; i < got.rows; ++i) {
    for (std::int64_t j = 0; j < got.cols; ++j) {
      const auto at = static_cast<std::size_t>(i * got.cols + j);
      element(what, i, j, got(i, j), want[at], tolerance[at]);
    }
  }
}

void Parity::compare(const std::string& what, View<const BFloat16, 2> got, const std::vector<double>& want,
                     const std::vector<double>& tolerance) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < got.rows; ++i) {
    for (std::int64_t j = 0; j < got.cols; ++j) values.push_back(static_cast<float>(got(i, j)));
  }
  std::vector<double> with_storage;
  for (std::size_t i = 0; i < want.size() && i < tolerance.size(); ++i)
    with_storage.push_back(tolerance[i] + storage_error<BFloat16>(std::abs(want[i]) + tolerance[i]));
  compare(what, View<const float, 2>(values.data(), got.rows, got.cols), want, with_storage);
}

void Parity::compare(const std::string& what, View<const float, 1> got, const std::vector<double>& want,
                     const std::vector<double>& tolerance) {
  compare(what, View<const float, 2>(got.data, 1, got.size), want, tolerance);
}

void Parity::compare(const std::string& what, View<const float, 2> got, const std::vector<double>& want,
                     double tolerance) {
  compare(what, got, want, std::vector<double>(want.size(), tolerance));
}

void Parity::element(const std::string& what, std::int64_t i, std::int64_t j, double got, double want,
                     double tolerance) {
  ++compared_;
  exact_ = exact_ && tolerance == 0.0;
  const double error = std::abs(got - want);
  worst_ = std::max(worst_, share_of(error, tolerance));
  if (error <= tolerance) return;
  if (failed_ >= kReported) {
    ++failed_;
    return;
  }
  fail(fmt::format("{}({}, {}): got {:.10g}, want {:.10g}, error {:.3g}, tolerance {:.3g}", what, i, j, got,
                   want, error, tolerance));
}

void Parity::fail(const std::string& message) {
  if (++failed_ == 1) first_failure_ = label_ + message;
  report_ += label_ + message + "\n";
}

std::string Parity::report() const {
  return fmt::format("{}{} of {} elements failed", report_, failed_, compared_);
}

}  // namespace felbo::checks
