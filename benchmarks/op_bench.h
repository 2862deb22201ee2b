// The rows of `felbo bench kernels`: each op adds its own (kernels/<op>/<op>_bench.cpp), a problem that is
// made at a shape, and what a call on it moves and computes. Which shapes are timed is chosen when it is
// known what the user asks for.
#pragma once

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/bench_exec.h"
#include "benchmarks/rotation.h"
#include "kernels/common/work.h"

namespace felbo::bench {

/// Sizes, in the order of an op's dimensions.
using Shape = std::vector<std::int64_t>;

struct OpBench {
  std::string name;                     // "adam/step": the op's folder, and which of its functions
  std::vector<std::string> dimensions;  // of a shape: B, X, Z, S, P (parameters), T (steps of a flow), I, O
  std::vector<Shape> usual;             // in cache, of a real model, out of every cache
  std::function<Work(const Shape&)> work;
  std::function<void(benchmark::State&, const Shape&)> run;
  bool compares = false;  // with another way to do the same: it times itself, and at usual shapes alone
};

/// All of them, in the order in which they were added.
std::vector<OpBench>& op_benches();

/// "B:128/X:784"
std::string text_of(const OpBench& op, const Shape& shape);

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
Cells cells_of(Shapes shapes, const std::string& op, double memory, double bytes_per_second,
               double flops_per_second);
constexpr double kGridSeconds = 0.1;
/// Bytes of memory that a call's arrays take at most, with the copy of one from which they are filled.
double memory_of(const Work& work);

/// The bytes, operations and cache of an iteration that worked on one of `problems`.
template <class Problem>
void declare(benchmark::State& state, const Work& work, const Rotation<Problem>& problems) {
  state.counters["bytes"] = work.bytes;
  state.counters["operations"] = work.operations;
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

/// Adds an op: Problem<Exec>(exec, shape, args...) holds its arrays, and a call of it enqueues the op.
template <template <class> class Problem, class... Args>
bool add_op(const std::string& name, std::vector<std::string> dimensions, std::vector<Shape> usual,
            std::function<Work(const Shape&)> work, Args... args) {
  const auto run = [=](benchmark::State& state, const Shape& shape) {
    on_device([&]<class Exec>(const Exec& exec) {
      using Problems = Rotation<Problem<Exec>>;
      const Work needed = work(shape);
      auto& problems = keep<Problems>(fmt::format("{} {}", name, fmt::join(shape, " ")), [&] {
        return Problems(exec, needed.bytes,
                        [&] { return std::make_unique<Problem<Exec>>(exec, shape, args...); });
      });
      measure(state, exec, problems.size(), [&] { problems.next()(); });
      declare(state, needed, problems);
    });
  };
  op_benches().push_back({name, std::move(dimensions), std::move(usual), work, run, false});
  return true;
}

}  // namespace felbo::bench
