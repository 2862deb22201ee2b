#include "host/exec/precision.h"

#include <array>
#include <utility>

#include "kernels/common/check.h"

namespace felbo {
namespace {

constexpr std::array<std::pair<Precision, std::string_view>, 3> kNames{
    {{Precision::kFp32, "fp32"}, {Precision::kTf32, "tf32"}, {Precision::kBf16, "bf16"}}};

}  // namespace

Precision precision_from_name(std::string_view name) {
  for (const auto& [precision, its_name] : kNames) {
    if (its_name == name) return precision;
  }
  throw std::invalid_argument(fmt::format("--precision must be fp32, tf32 or bf16, got '{}'", name));
}

std::string_view name_of(Precision precision) { return kNames[static_cast<std::size_t>(precision)].second; }

}  // namespace felbo
