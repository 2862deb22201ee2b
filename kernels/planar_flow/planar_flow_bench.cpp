// Rates of a chain of T planar flows.
#include "kernels/planar_flow/planar_flow.h"

#include "benchmarks/op_bench.h"
#include "kernels/planar_flow/planar_flow_reference.h"
#include "kernels/planar_flow/planar_flow_work.h"

namespace felbo {
namespace {

template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, bool backward)
      : exec(exec),
        backward(backward),
        batch(shape[0]),
        latent(shape[1]),
        samples(shape[2]),
        steps(shape[3]) {}

  void operator()() const {
    if (backward) {
      return planar_flow_backward(exec, {.flow = flow.matrix(batch, columns),
                                         .samples = static_cast<int>(samples),
                                         .z = z.matrix(rows, latent),
                                         .activation = activation.matrix(rows, steps),
                                         .grad_z = grad_z.matrix(rows, latent),
                                         .grad_flow = gradient.matrix(batch, columns)});
    }
    planar_flow(exec, {.flow = flow.matrix(batch, columns),
                       .samples = static_cast<int>(samples),
                       .z = z.matrix(rows, latent),
                       .log_qz_given_x = log_q.view(),
                       .activation = activation.matrix(rows, steps)});
  }
  std::function<std::vector<double>()> reference() const {
    return [backward = backward, B = static_cast<int>(batch), S = static_cast<int>(samples),
            Z = static_cast<int>(latent), T = static_cast<int>(steps), flow = bench::doubles(flow.view()),
            z = bench::doubles(z.view()), log_q = bench::doubles(log_q.view()),
            activation = bench::doubles(activation.view()), grad_z = bench::doubles(grad_z.view())] {
      if (!backward) return reference::planar_flow(flow, z, log_q, B, S, Z, T).z;
      const std::vector<double> scale(log_q.size(), 1.0 / S);
      return reference::planar_flow_gradient(flow, z, activation, grad_z, scale, B, S, Z, T).flow;
    };
  }
  std::vector<double> result() const { return bench::doubles(backward ? gradient.view() : z.view()); }
  static float value(std::int64_t i) { return 0.002f * static_cast<float>(i % 199 - 99); }

  const Exec& exec;
  bool backward;
  std::int64_t batch, latent, samples, steps;
  std::int64_t columns = planar_flow_columns(latent, steps), rows = batch * samples;
  Buffer<Exec, float> flow = bench::filled<float>(exec, batch* columns, value);
  Buffer<Exec, float> gradient{exec, backward ? batch* columns : 0};
  Buffer<Exec, float> z = bench::filled<float>(exec, rows* latent, value);
  Buffer<Exec, float> grad_z = bench::filled<float>(exec, backward ? rows* latent : 0, value);
  Buffer<Exec, float> log_q = bench::filled<float>(exec, rows, value);
  Buffer<Exec, float> activation = bench::filled<float>(exec, rows* steps, value);
};

const bool kAdded = [] {
  // A training batch, a tile of an evaluation with many samples, a wide latent space, and out of every cache.
  for (const bool backward : {false, true}) {
    bench::add_op<Problem>(
        backward ? "planar_flow/backward" : "planar_flow/forward", {"B", "Z", "S", "T"},
        {{128, 20, 1, 4}, {128, 20, 50, 4}, {128, 128, 1, 8}, {65'536, 32, 1, 4}},
        [backward](const bench::Shape& s) {
          return backward ? planar_flow_backward_work(s[0], s[1], s[2], s[3])
                          : planar_flow_work(s[0], s[1], s[2], s[3]);
        },
        backward);
  }
  return true;
}();

}  // namespace
}  // namespace felbo
