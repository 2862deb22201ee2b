#include <array>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/dense/dense.h"

namespace felbo {
namespace {

constexpr std::array<std::pair<Activation, std::string_view>, 6> kNames{{{Activation::kIdentity, "identity"},
                                                                         {Activation::kRelu, "relu"},
                                                                         {Activation::kTanh, "tanh"},
                                                                         {Activation::kGelu, "gelu"},
                                                                         {Activation::kSoftplus, "softplus"},
                                                                         {Activation::kSigmoid, "sigmoid"}}};

}  // namespace

Activation activation_from_name(std::string_view name) {
  for (const auto& [activation, its_name] : kNames) {
    if (its_name == name) return activation;
  }
  throw std::invalid_argument(
      fmt::format("unknown activation '{}'; one of relu, tanh, gelu, softplus, sigmoid, identity", name));
}

std::string_view name_of(Activation activation) {
  return kNames[static_cast<std::size_t>(activation)].second;
}

bool needs_pre_activation(Activation activation) { return activation == Activation::kGelu; }

}  // namespace felbo
