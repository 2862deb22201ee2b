#include "host/evaluate/corruption.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "kernels/common/check.h"
#include "kernels/common/noise_stream.h"

namespace felbo {
namespace {

double unit(std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

/// Box and Muller's, of two words.
double normal(const Words4& words) {
  return std::sqrt(-2.0 * std::log(unit(words[0]))) * std::cos(2.0 * std::numbers::pi * unit(words[1]));
}

float corrupted(const Corruption& corruption, float x, bool unit_interval, const Words4& words) {
  if (corruption.kind == Corruption::Kind::kGaussian) {
    const auto noisy = static_cast<float>(static_cast<double>(x) + corruption.amount * normal(words));
    return unit_interval ? std::clamp(noisy, 0.0f, 1.0f) : noisy;
  }
  if (unit(words[0]) >= corruption.amount) return x;
  return corruption.kind == Corruption::Kind::kSaltPepper && words[1] >> 31 != 0 ? 1.0f : 0.0f;
}

Corruption::Kind kind_from_name(const std::string& name, const std::string& kind) {
  if (kind == "gaussian") return Corruption::Kind::kGaussian;
  if (kind == "salt-pepper") return Corruption::Kind::kSaltPepper;
  FELBO_CHECK(kind == "mask", "noise \"{}\" is not known; give gaussian:S, salt-pepper:P or mask:P", name);
  return Corruption::Kind::kMask;
}

}  // namespace

Corruption corruption_from_name(const std::string& name) {
  const std::size_t colon = name.find(':');
  Corruption corruption{kind_from_name(name, name.substr(0, colon)), 0.0};
  const char* begin = colon == std::string::npos ? name.data() + name.size() : name.data() + colon + 1;
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), corruption.amount);
  FELBO_CHECK(
      error == std::errc() && end == name.data() + name.size(),
      "noise \"{}\": a number is missing; give gaussian:S, salt-pepper:P or mask:P, as in gaussian:0.3",
      name);
  const double most = corruption.kind == Corruption::Kind::kGaussian ? 1e6 : 1.0;
  FELBO_CHECK(
      corruption.amount > 0.0 && corruption.amount <= most, "noise \"{}\": {} must be above 0 and at most {}",
      name, corruption.kind == Corruption::Kind::kGaussian ? "a standard deviation" : "a probability", most);
  return corruption;
}

std::vector<float> corrupt(const Corruption& corruption, View<const float, 2> x, bool unit_interval,
                           std::uint64_t seed) {
  const NoiseStream stream{seed, 0, Purpose::kCorruption};
  std::vector<float> noisy;
  noisy.reserve(static_cast<std::size_t>(x.rows * x.cols));
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int64_t j = 0; j < x.cols; ++j) {
      const Words4 words = stream.words(static_cast<std::uint32_t>(i), 0, static_cast<std::uint32_t>(j));
      noisy.push_back(corrupted(corruption, x(i, j), unit_interval, words));
    }
  }
  return noisy;
}

std::vector<double> mean_squared_errors(View<const float, 2> a, View<const float, 2> b) {
  FELBO_CHECK(a.rows == b.rows && a.cols == b.cols && a.cols > 0, "{} x {} values against {} x {}", a.rows,
              a.cols, b.rows, b.cols);
  std::vector<double> errors;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    double sum = 0.0;
    for (std::int64_t j = 0; j < a.cols; ++j) {
      const double apart = static_cast<double>(a(i, j)) - static_cast<double>(b(i, j));
      sum += apart * apart;
    }
    errors.push_back(sum / static_cast<double>(a.cols));
  }
  return errors;
}

double psnr(double mse, double peak) { return 10.0 * std::log10(peak * peak / mse); }

}  // namespace felbo
