#pragma once

#include <cmath>

namespace felbo::reference {

template <class T>
T log_count(T x) {
  return std::log1p(x);
}

}  // namespace felbo::reference
