// How many pieces of work a training step hands to its device.
#pragma once

#include <cstdint>

#include "benchmarks/counted_exec.h"
#include "benchmarks/stepped_model.h"

#if FELBO_WITH_CUDA || FELBO_TEST_CUDA
#include <cuda_runtime_api.h>

#include "host/exec/cuda_exec.h"
#include "kernels/common/cuda/check.h"
#endif

namespace felbo::bench {

/// Of ops, copies and fills, on a CPU. T is float.
template <class T>
std::int64_t launches_of_step(const CpuExec& exec, StepShape shape) {
  shape.batch = std::min<std::int64_t>(shape.batch, 2);  // the same ops whatever the batch
  const CountedExec counted(exec.threads());
  SteppedModel<CountedExec, T> step(counted, shape);
  step.lay_out();
  counted.ops().clear();
  step();
  return static_cast<std::int64_t>(counted.ops().size());
}

#if FELBO_WITH_CUDA || FELBO_TEST_CUDA

/// Nodes of the graph that `enqueue` makes: kernels, those of cuBLASLt included, copies and fills.
template <class F>
std::int64_t graph_nodes(const CudaExec& exec, const F& enqueue) {
  cudaGraph_t graph = nullptr;
  FELBO_CUDA_CHECK(cudaStreamBeginCapture(exec.stream(), cudaStreamCaptureModeThreadLocal));
  enqueue();
  FELBO_CUDA_CHECK(cudaStreamEndCapture(exec.stream(), &graph));
  std::size_t nodes = 0;
  const cudaError_t error = cudaGraphGetNodes(graph, nullptr, &nodes);
  FELBO_CUDA_CHECK(cudaGraphDestroy(graph));
  FELBO_CUDA_CHECK(error);
  return static_cast<std::int64_t>(nodes);
}

/// Of the nodes of the graph that is replayed, on a GPU. T: as TrainingStep's.
template <class T>
std::int64_t launches_of_step(const CudaExec& exec, const StepShape& shape) {
  SteppedModel<CudaExec, T>(exec, shape)();  // libraries load code and choose algorithms
  exec.synchronize();
  SteppedModel<CudaExec, T> step(exec, shape);
  step.lay_out();
  // The first step of a TrainingStep is not replayed: it enqueues its ops, here into a graph that is not run.
  return graph_nodes(exec, [&] { step(); });
}

#endif

}  // namespace felbo::bench
