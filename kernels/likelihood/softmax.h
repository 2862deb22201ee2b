// What softmaxes share on every device.
#pragma once

#include <limits>

namespace felbo {

/// Below every logit: the largest of none.
inline constexpr float kNoLogit = -std::numeric_limits<float>::infinity();

}  // namespace felbo
