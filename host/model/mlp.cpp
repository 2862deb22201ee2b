#include "host/model/mlp.h"

namespace felbo {

Mlp::Mlp(ParameterTable& table, const std::string& name, std::int64_t in,
         const std::vector<std::int64_t>& hidden, std::int64_t out, Activation activation) {
  std::vector<std::int64_t> widths = hidden;
  widths.push_back(out);
  for (std::size_t l = 0; l < widths.size(); ++l) {
    const std::string prefix = fmt::format("{}.{}.", name, l);
    const int weight = table.add(prefix + "weight", {in, widths[l]});
    const int bias = table.add(prefix + "bias", {widths[l]});
    layers_.push_back({weight, bias, in, widths[l], l < hidden.size() ? activation : Activation::kIdentity});
    in = widths[l];
  }
}

}  // namespace felbo
