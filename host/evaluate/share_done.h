// How long computations say how far they are.
#pragma once

#include <functional>

namespace felbo {

/// Told what share of the work is done, in [0, 1]. May be empty.
using ShareDone = std::function<void(double)>;

}  // namespace felbo
