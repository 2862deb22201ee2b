// Rates of Phi and of the gradient through it.
#include "kernels/normal_cdf/normal_cdf.h"

#include "benchmarks/op_bench.h"
#include "kernels/normal_cdf/normal_cdf_reference.h"
#include "kernels/normal_cdf/normal_cdf_work.h"

namespace felbo {
namespace {

template <class Exec, class T>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape) : exec(exec), size(shape[0] * shape[1]) {}

  const Exec& exec;
  std::int64_t size;
  Buffer<Exec, T> z =
      bench::filled<T>(exec, size, [](std::int64_t i) { return 0.04f * static_cast<float>(i % 199 - 99); });
  // Of a gradient that is multiplied by less than one at each call nothing is left in the end.
  Buffer<Exec, T> out = bench::filled<T>(exec, size, [](std::int64_t) { return 1.0f; });
};

template <class Exec, class T = float>
struct Forward : Problem<Exec, T> {
  using Problem<Exec, T>::Problem;
  void operator()() const { normal_cdf(this->exec, NormalCdfArgsOf<T>{this->z.view(), this->out.view()}); }
  std::function<std::vector<double>()> reference() const {
    return [z = bench::doubles(this->z.view())] {
      return bench::each(z.size(), [&](std::size_t i) { return reference::normal_cdf(z[i]); });
    };
  }
  std::vector<double> result() const { return bench::doubles(this->out.view()); }
};
template <class Exec, class T = float>
struct Backward : Problem<Exec, T> {
  using Problem<Exec, T>::Problem;
  void operator()() const {
    normal_cdf_backward(this->exec, NormalCdfGradArgsOf<T>{this->z.view(), this->out.view()});
  }
  std::function<std::vector<double>()> reference() const {
    return [z = bench::doubles(this->z.view()), grad = bench::doubles(this->out.view())] {
      return bench::each(z.size(), [&](std::size_t i) { return grad[i] * reference::normal_density(z[i]); });
    };
  }
  std::vector<double> result() const { return bench::doubles(this->out.view()); }
};
template <class Exec>
using ForwardFloat = Forward<Exec>;
template <class Exec>
using BackwardFloat = Backward<Exec>;
template <class Exec>
using ForwardBf16 = Forward<Exec, BFloat16>;
template <class Exec>
using BackwardBf16 = Backward<Exec, BFloat16>;

Work forward_work(const bench::Shape& s) { return normal_cdf_work(s[0] * s[1]); }
Work backward_work(const bench::Shape& s) { return normal_cdf_backward_work(s[0] * s[1]); }
Work forward_bf16_work(const bench::Shape& s) { return normal_cdf_work(s[0] * s[1], 2.0); }
Work backward_bf16_work(const bench::Shape& s) { return normal_cdf_backward_work(s[0] * s[1], 2.0); }

// A training batch, and out of every cache.
const std::vector<bench::Shape> kUsual{{128, 20}, {524'288, 32}};
const bool kAdded =
    bench::add_op<ForwardFloat>("normal_cdf/forward", {"B", "Z"}, kUsual, forward_work) &&
    bench::add_op<BackwardFloat>("normal_cdf/backward", {"B", "Z"}, kUsual, backward_work) &&
    bench::add_gpu_op<ForwardBf16>("normal_cdf/forward_bf16", {"B", "Z"}, kUsual, forward_bf16_work) &&
    bench::add_gpu_op<BackwardBf16>("normal_cdf/backward_bf16", {"B", "Z"}, kUsual, backward_bf16_work);

}  // namespace
}  // namespace felbo
