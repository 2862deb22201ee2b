// A number that an op takes: known when the op is enqueued, or found in memory when it runs.
#pragma once

#include "kernels/common/view.h"

namespace felbo {

/// Either a value, or the place in the Exec's memory where it stands when the op runs; the latter lets a
/// recorded sequence of ops be replayed with other numbers. A T converts to it.
template <class T>
class Scalar {
 public:
  FELBO_HD Scalar(T value = T()) : value_(value) {}
  /// Read from `at`, which must outlive every run of the op.
  static Scalar read(const T* at) {
    Scalar scalar;
    scalar.at_ = at;
    return scalar;
  }

  /// To be called where ops run, not where they are enqueued: `at` is memory of the Exec.
  FELBO_HD T get() const { return at_ != nullptr ? *at_ : value_; }

 private:
  T value_;
  const T* at_ = nullptr;
};

}  // namespace felbo
