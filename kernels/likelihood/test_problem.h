// Calls of likelihood() in guarded memory, for the tests of its families.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "tests/harness/parity.h"

namespace felbo::test {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
// Results below the smallest normal number may be flushed to zero.
inline constexpr double kTiny = 3e-38;

struct Size {
  std::int64_t data, samples, dimensions;
};
/// How the memory lies: gaps between rows, elements by which the first is misaligned.
struct Layout {
  std::int64_t gap = 0, offset = 0;
};

/// Arguments of one call in guarded memory, with inputs from a fixed seed. T: how the output is stored; Data:
/// how x is.
template <class T, class Data = float>
class ProblemOf {
 public:
  ProblemOf(const Likelihood& which, Size size, Layout layout = {}, std::uint64_t seed = 1)
      : which(which),
        size(size),
        rows(size.data * size.samples),
        x(size.data, size.dimensions, layout.gap, layout.offset),
        output(rows, which.outputs() * size.dimensions, 2 * layout.gap, layout.offset),
        own(1, which.own_parameters(size.dimensions), 0, layout.offset),
        log_px(1, rows, 0, layout.offset),
        grad_own(1, which.own_parameters(size.dimensions), 0, layout.offset),
        scratch(1, likelihood_scratch(which, rows, size.dimensions), 0, layout.offset),
        clamped(1, rows) {
    checks::fill_observations(x.matrix(), which, seed);
    fill_normal(output.matrix(), seed + 1, 1.5f);
    fill_normal(own.matrix(), seed + 2, 0.8f);
  }

  LikelihoodArgsOf<T> args(bool want_gradient = true, float grad_scale = -0.37f) {
    LikelihoodArgsOf<T> a;
    a.x = checks::x_view(x.matrix(), which);
    a.samples = static_cast<int>(size.samples);
    a.output = output.matrix();
    a.own = own.vector();
    a.want_gradient = want_gradient;
    a.grad_scale = grad_scale;
    a.log_px_given_z = log_px.vector();
    a.grad_own = grad_own.vector();
    a.scratch = scratch.vector();
    a.clamped = clamped.vector();
    return a;
  }

  /// The reference's input, from the memory as it is now.
  reference::LikelihoodInput<double> input(double grad_scale) {
    return {size.data,
            size.samples,
            size.dimensions,
            checks::to_x(x.matrix(), which),
            to_double(output.matrix()),
            to_double(own.matrix()),
            grad_scale};
  }

  void check_guards(Parity& parity, const std::string& what) const {
    x.check_guards(parity, what + " x");
    output.check_guards(parity, what + " output");
    own.check_guards(parity, what + " own");
    log_px.check_guards(parity, what + " log_px");
    grad_own.check_guards(parity, what + " grad_own");
    scratch.check_guards(parity, what + " scratch");
    clamped.check_guards(parity, what + " clamped");
  }

  Likelihood which;
  Size size;
  std::int64_t rows;
  Guarded<Data> x;
  Guarded<T> output;
  Guarded<float> own, log_px, grad_own, scratch;
  Guarded<std::int32_t> clamped;
};

using Problem = ProblemOf<float>;

/// One element through the op.
struct OneElement {
  float log_px;
  std::vector<float> grad;
  float grad_own;
  std::int32_t clamped;
};
inline OneElement evaluate(const Likelihood& which, float x, const std::vector<float>& output,
                           float own = 0.0f) {
  const Array<float> x_at{x}, own_at{own};
  Array<float> grad(output.begin(), output.end()), log_px(1), grad_own(1), scratch(8);
  Array<std::int32_t> clamped(1);
  const std::int64_t owned = which.own_parameters(1);
  LikelihoodArgs args;
  args.x = View<const float, 2>(x_at.data(), 1, 1);
  args.output = {grad.data(), 1, static_cast<std::int64_t>(grad.size())};
  args.own = {own_at.data(), owned};
  args.log_px_given_z = {log_px.data(), 1};
  args.grad_own = {grad_own.data(), owned};
  args.scratch = {scratch.data(), 8};
  args.clamped = {clamped.data(), 1};
  likelihood(exec(1), which, args);
  return {log_px[0], {grad.begin(), grad.end()}, grad_own[0], clamped[0]};
}

}  // namespace felbo::test
