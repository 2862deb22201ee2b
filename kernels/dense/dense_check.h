// What dense and dense_backward ask of their arguments on any Exec.
#pragma once

#include "kernels/common/check.h"
#include "kernels/dense/dense.h"

namespace felbo {

template <class T, class Y>
void check_layer(const char* name, View<const T, 2> x, View<const T, 2> weight, View<Y, 2> y,
                 std::int64_t bias) {
  FELBO_CHECK(x.cols == weight.rows && y.cols == weight.cols && x.rows == y.rows && bias == weight.cols,
              "{}: x is {} x {}, weight {} x {}, y or its gradient {} x {}, bias {}", name, x.rows, x.cols,
              weight.rows, weight.cols, y.rows, y.cols, bias);
  FELBO_CHECK(x.rows > 0 && x.cols > 0 && y.cols > 0, "{}: nothing to do for {} rows, {} inputs, {} outputs",
              name, x.rows, x.cols, y.cols);
}

inline void check_aux(const char* name, View<const std::byte, 1> aux, std::int64_t bytes) {
  FELBO_CHECK(aux.size >= bytes, "{} has {} bytes, {} are needed", name, aux.size, bytes);
  FELBO_CHECK(reinterpret_cast<std::uintptr_t>(aux.data) % kDenseAuxAlignment == 0,
              "{} is not aligned to {} bytes", name, kDenseAuxAlignment);
}

template <class Exec, class T, class Y>
void check(const Exec& exec, const DenseArgsOf<T, Y>& a) {
  check_layer("dense", a.x, a.weight, a.y, a.bias.size);
  if (!a.aux.empty())
    check_aux("dense: aux", a.aux, dense_aux_bytes(exec, a.activation, a.y.rows, a.y.cols, sizeof(Y)));
}

template <class Exec, class T>
void check(const Exec& exec, const DenseGradArgsOf<T>& a) {
  const bool of_parameters = !a.grad_weight.empty();
  check_layer("dense_backward", a.x, a.weight, a.grad_y, of_parameters ? a.grad_bias.size : a.weight.cols);
  FELBO_CHECK(of_parameters || (a.grad_bias.empty() && !a.grad_x.empty()),
              "dense_backward: without grad_weight there is grad_x alone, and no grad_bias");
  FELBO_CHECK(!of_parameters || (a.grad_weight.rows == a.weight.rows && a.grad_weight.cols == a.weight.cols),
              "dense_backward: grad_weight is {} x {}, weight {} x {}", a.grad_weight.rows,
              a.grad_weight.cols, a.weight.rows, a.weight.cols);
  if (a.grad_x.empty()) return;
  FELBO_CHECK(a.grad_x.rows == a.x.rows && a.grad_x.cols == a.x.cols,
              "dense_backward: grad_x is {} x {}, x {} x {}", a.grad_x.rows, a.grad_x.cols, a.x.rows,
              a.x.cols);
  check_aux("dense_backward: x_aux", a.x_aux, dense_aux_bytes(exec, a.below, a.x.rows, a.x.cols, sizeof(T)));
}

}  // namespace felbo
