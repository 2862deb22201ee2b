// The rows of `felbo bench kernels`: each op adds its own (kernels/<op>/<op>_bench.cpp), a problem that is
// made at a shape, and what a call on it moves and computes. Which shapes are timed is chosen when it is
// known what the user asks for. Beside its call a problem may have what judges it: `reference()`, the same by
// the op's reference in double, and `result()`, what of its arrays compares with that.
#pragma once

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "benchmarks/bench_exec.h"
#include "benchmarks/counted_exec.h"
#include "benchmarks/peaks.h"
#include "benchmarks/rotation.h"
#include "kernels/common/work.h"

namespace felbo::bench {

/// Sizes, in the order of an op's dimensions.
using Shape = std::vector<std::int64_t>;

/// The call on a problem of its own, on one thread of the CPU.
struct OnHost {
  std::function<std::vector<double>()> reference;  // what the op's double reference makes of the problem
  std::function<std::vector<double>()> result;     // what the op itself does; empty where it needs a GPU
};

struct OpBench {
  std::string name;                     // "adam/step": the op's folder, and which of its functions
  std::vector<std::string> dimensions;  // of a shape: B, X, Z, S, P (parameters), T (steps of a flow), I, O
  std::vector<Shape> usual;             // in cache, of a real model, out of every cache
  std::function<Work(const Shape&)> work;
  std::function<void(benchmark::State&, const Shape&)> run;
  bool compares = false;  // with another way to do the same: it times itself, and at usual shapes alone
  bool needs_gpu = false;
  std::function<OnHost(const Shape&)> on_host;                // empty: the op has no reference
  std::function<std::vector<std::string>(const Shape&)> ops;  // that a call runs; empty where it needs a GPU
};

/// All of them, in the order in which they were added.
std::vector<OpBench>& op_benches();

/// "B:128/X:784"
std::string text_of(const OpBench& op, const Shape& shape);

/// Seconds of a call of the op's reference on one thread: the median of as many as fit in a tenth of a
/// second, of one at least. Nothing where there is none, or where it would take longer than
/// kReferenceSeconds: a plain loop in double is taken to get through kReferenceRate bytes and operations a
/// second.
std::optional<double> reference_seconds(const OpBench& op, const Shape& shape);
constexpr double kReferenceSeconds = 10.0, kReferenceRate = 1e8;

enum class Shapes { kUsual, kGrid, kFull };
/// Throws std::invalid_argument that lists the names.
Shapes shapes_from_name(const std::string& name);

/// What is timed, and what is not because it would take more memory than there is.
struct Cell {
  const OpBench* op;
  Shape shape;
  Work work;
};
struct Cells {
  std::vector<Cell> timed, too_large;
};
/// `kFull`: every combination of the sizes of an op's dimensions; `kGrid`: of fewer sizes, those of which a
/// call takes at most kGridSeconds by the peaks. `op` names an op, or is empty: all of them. Throws
/// std::invalid_argument that lists the ops if there is no such one.
Cells cells_of(Shapes shapes, const std::string& op, double memory, const Peaks& peaks);
constexpr double kGridSeconds = 0.1;
/// Bytes of memory that a call's arrays take at most, with the copy of one from which they are filled.
double memory_of(const Work& work);

/// The bytes, operations, random words and cache of an iteration that worked on one of `problems`.
template <class Problem>
void declare(benchmark::State& state, const Work& work, const Rotation<Problem>& problems) {
  state.counters["bytes"] = work.bytes;
  state.counters["operations"] = work.operations;
  state.counters["words"] = work.words;
  state.counters["out_of_cache"] = problems.out_of_cache() ? 1.0 : 0.0;
}

/// The value of make(), which is kept until another key is asked for: Google Benchmark calls a benchmark
/// again for each repetition.
struct Kept {
  std::string key;
  std::shared_ptr<void> value;
};
inline Kept& kept() {
  static Kept one;
  return one;
}
template <class T, class Make>
T& keep(const std::string& key, const Make& make) {
  if (kept().key != key) {
    kept() = {};
    kept() = {key, std::make_shared<T>(make())};
  }
  return *static_cast<T*>(kept().value.get());
}

/// The numbers of a view of the host, row after row.
template <class T>
std::vector<double> doubles(View<T, 1> values) {
  std::vector<double> out;
  for (const T& value : values) out.push_back(static_cast<double>(static_cast<float>(value)));
  return out;
}
inline std::vector<double> doubles(View<double, 1> values) { return {values.begin(), values.end()}; }
template <class T>
std::vector<double> doubles(View<T, 2> values) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < values.rows; ++i) {
    const std::vector<double> row = doubles(View<T, 1>{values.row(i), values.cols});
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}
/// f(0), f(1), ...
template <class F>
std::vector<double> each(std::size_t count, const F& f) {
  std::vector<double> out;
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i) out.push_back(f(i));
  return out;
}

// What follows is static: made with a template of an unnamed namespace, it has external linkage under g++ all
// the same, and the linker would take one op's Problem for another's.

/// Times Problem<Exec> on `exec`.
template <template <class> class Problem, class Exec, class... Args>
static void time_problem(benchmark::State& state, const Exec& exec, const std::string& name,
                         const Shape& shape, const Work& work, const Args&... args) {
  using Problems = Rotation<Problem<Exec>>;
  auto& problems = keep<Problems>(fmt::format("{} {}", name, fmt::join(shape, " ")), [&] {
    return Problems(exec, work.bytes, [&] { return std::make_unique<Problem<Exec>>(exec, shape, args...); });
  });
  measure(state, exec, problems.size(), [&] { problems.next()(); });
  declare(state, work, problems);
}

/// The reference of Problem<CpuExec>, where it has one. It takes its inputs before the op can write over
/// them.
template <template <class> class Problem, bool kNeedsGpu, class... Args>
static std::function<OnHost(const Shape&)> on_host_of(const Args&... args) {
  if constexpr (requires(const Problem<CpuExec>& problem) { problem.reference(); }) {
    return [=](const Shape& shape) {
      const auto exec = std::make_shared<CpuExec>(1);
      const auto problem = std::make_shared<Problem<CpuExec>>(*exec, shape, args...);
      // The problem stands on the Exec; the op writes over what the reference has read before.
      OnHost on{.reference = [exec, problem, call = problem->reference()] { return call(); }};
      if constexpr (!kNeedsGpu) {
        on.result = [exec, problem] {
          (*problem)();
          return problem->result();
        };
      }
      return on;
    };
  }
  return {};
}

/// Adds an op: Problem<Exec>(exec, shape, args...) holds its arrays, and a call of it enqueues the op.
template <template <class> class Problem, class... Args>
static bool add_op(const std::string& name, std::vector<std::string> dimensions, std::vector<Shape> usual,
                   std::function<Work(const Shape&)> work, Args... args) {
  OpBench op{.name = name, .dimensions = std::move(dimensions), .usual = std::move(usual), .work = work};
  op.run = [=](benchmark::State& state, const Shape& shape) {
    on_device(
        [&](const auto& exec) { time_problem<Problem>(state, exec, name, shape, work(shape), args...); });
  };
  op.on_host = on_host_of<Problem, false>(args...);
  op.ops = [=](const Shape& shape) {
    const CountedExec exec(1);
    Problem<CountedExec> problem(exec, shape, args...);
    exec.ops().clear();
    problem();
    return exec.ops();
  };
  op_benches().push_back(std::move(op));
  return true;
}

/// Adds an op that only a GPU has, where this program can have one: its problem has the reference of its
/// numbers on a CPU all the same.
template <template <class> class Problem, class... Args>
static bool add_gpu_op([[maybe_unused]] const std::string& name,
                       [[maybe_unused]] std::vector<std::string> dimensions,
                       [[maybe_unused]] std::vector<Shape> usual,
                       [[maybe_unused]] std::function<Work(const Shape&)> work,
                       [[maybe_unused]] Args... args) {
#if FELBO_WITH_CUDA
  OpBench op{.name = name, .dimensions = std::move(dimensions), .usual = std::move(usual), .work = work};
  op.run = [=](benchmark::State& state, const Shape& shape) {
    time_problem<Problem>(state, std::get<CudaExec>(bench_exec()), name, shape, work(shape), args...);
  };
  op.needs_gpu = true;
  op.on_host = on_host_of<Problem, true>(args...);
  op_benches().push_back(std::move(op));
#endif
  return true;
}

}  // namespace felbo::bench
