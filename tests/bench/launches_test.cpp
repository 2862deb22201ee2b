// What `felbo bench step` says of a step's launches: ops on a CPU, nodes of the recorded graph on a GPU.
#include "benchmarks/launches.h"

#include <gtest/gtest.h>

#include "tests/harness/parity.h"

#if FELBO_TEST_CUDA
#if __has_include("cuda_runtime.h")
#include "cuda_runtime.h"
#endif
#if defined(FELBO_EMULATED_CUDA)
#include "tests/emulator/emulator.h"
#endif
#endif

namespace felbo::bench {
namespace {

StepShape shape_of(std::vector<std::int64_t> hidden) { return {12, std::move(hidden), 3, 4}; }

/// The ops of a step.
std::vector<std::string> ops_of(const StepShape& shape) {
  const CountedExec exec(1);
  SteppedModel<CountedExec, float> step(exec, shape);
  step.lay_out();
  exec.ops().clear();
  step();
  return exec.ops();
}

// docs/design.md, "The way of the data".
TEST(Launches, OfAStepAreTheWayOfTheData) {
  const std::vector<std::string> ops{"next_minibatch", "gather",
                                     "dense",          "dense",
                                     "reparameterize", "dense",
                                     "dense",          "likelihood",
                                     "elbo",           "add_counts",
                                     "add_counts",     "dense_backward",
                                     "dense_backward", "reparameterize_backward",
                                     "dense_backward", "dense_backward",
                                     "guard_step",     "adam"};
  EXPECT_EQ(ops_of(shape_of({5})), ops);
  EXPECT_EQ(launches_of_step<float>(CpuExec(1), shape_of({5})), static_cast<std::int64_t>(ops.size()));
}

TEST(Launches, AHiddenLayerMoreIsFourOpsMore) {
  EXPECT_EQ(ops_of(shape_of({5, 5})).size(), ops_of(shape_of({5})).size() + 4);
}

#if FELBO_TEST_CUDA
TEST(Launches, OnADeviceAreTheNodesOfTheGraph) {
  const test::ExecHandle exec = test::open_exec(1);
  const std::int64_t shallow = launches_of_step<float>(exec, shape_of({5})),
                     deep = launches_of_step<float>(exec, shape_of({5, 5})),
                     deeper = launches_of_step<float>(exec, shape_of({5, 5, 5}));
  // An op is a kernel, or a product, at least.
  EXPECT_GE(shallow, static_cast<std::int64_t>(ops_of(shape_of({5})).size()));
  // A layer more in either network: a product forward and two backward at least, and the same for the next.
  EXPECT_GE(deep, shallow + 6);
  EXPECT_EQ(deeper - deep, deep - shallow);
}

#if defined(FELBO_EMULATED_CUDA)
// What `felbo bench step` says is what the emulated runtime sees done: op by op in the first step, by the
// recorded graph in those behind it.
template <class T>
void expect_counted(const CudaExec& exec, const StepShape& shape) {
  const std::int64_t said = launches_of_step<T>(exec, shape);
  SteppedModel<CudaExec, T> step(exec, shape);
  step.lay_out();
  for (int i = 0; i < 3; ++i) {
    exec.synchronize();
    const std::int64_t before = emulator::work_done();
    step();
    exec.synchronize();
    EXPECT_EQ(emulator::work_done() - before, said) << "step " << i;
  }
}
TEST(Launches, AreThoseThatTheEmulatedRuntimeSees) {
  const test::ExecHandle exec = test::open_exec(1);
  for (const auto& hidden : {std::vector<std::int64_t>{5}, {8, 16}}) {
    expect_counted<float>(exec, shape_of(hidden));
    expect_counted<BFloat16>(exec.with_precision(Precision::kBf16), shape_of(hidden));
  }
}
#endif

// A kernel that is launched for nothing is seen.
TEST(Launches, OneLaunchMoreIsOneMore) {
  const test::ExecHandle exec = test::open_exec(1);
  const Buffer<CudaExec, float> a(exec, 8), b(exec, 8);
  const auto once = [&] { add_gradient(exec, {a.matrix(2, 4), b.matrix(2, 4)}); };
  exec.synchronize();
  EXPECT_EQ(graph_nodes(exec, once), 1);
  EXPECT_EQ(graph_nodes(exec,
                        [&] {
                          once();
                          once();
                        }),
            2);
  EXPECT_EQ(graph_nodes(exec, [] {}), 0);
}
#endif

}  // namespace
}  // namespace felbo::bench
