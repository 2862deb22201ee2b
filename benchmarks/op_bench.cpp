#include "benchmarks/op_bench.h"

#include <algorithm>
#include <map>
#include <set>
#include <type_traits>

#include "benchmarks/timer.h"
#include "kernels/common/check.h"

namespace felbo::bench {
namespace {

/// The sizes of a dimension: all, and those of the thinned grid.
struct Sizes {
  std::vector<std::int64_t> full, grid;
};
const Sizes& sizes_of(const std::string& dimension) {
  static const std::map<std::string, Sizes> all{
      {"B", {{16, 64, 256, 1024, 4096, 16384, 65536}, {16, 256, 4096, 65536}}},
      {"X", {{64, 256, 784, 1024, 4096, 16384, 65536}, {64, 784, 8192, 65536}}},
      {"Z", {{2, 8, 32, 128, 512, 2048, 16384}, {2, 32, 512, 16384}}},
      {"S", {{1, 4, 16, 64}, {1, 64}}},
      {"P", {{1 << 10, 1 << 14, 1 << 18, 1 << 22, 1 << 26}, {1 << 10, 1 << 14, 1 << 18, 1 << 22, 1 << 26}}},
      {"I", {{64, 256, 1024, 4096}, {64, 1024}}},
      {"O", {{64, 256, 1024, 4096}, {64, 1024}}},
      {"T", {{1, 4, 16}, {4}}},
      {"K", {{10, 100, 500}, {10, 500}}}};
  return all.at(dimension);
}

/// Every combination.
std::vector<Shape> product_of(const OpBench& op, Shapes shapes) {
  std::vector<Shape> all{{}};
  for (const std::string& dimension : op.dimensions) {
    const Sizes& sizes = sizes_of(dimension);
    std::vector<Shape> longer;
    for (const Shape& shape : all) {
      for (const std::int64_t size : shapes == Shapes::kFull ? sizes.full : sizes.grid) {
        longer.push_back(shape);
        longer.back().push_back(size);
      }
    }
    all = std::move(longer);
  }
  return all;
}

/// "adam" for "adam/step".
std::string folder_of(const OpBench& op) { return op.name.substr(0, op.name.find('/')); }

bool on_gpu() {
  return on_device([](const auto& exec) { return !std::is_same_v<decltype(exec), const CpuExec&>; });
}

std::vector<const OpBench*> ops_of(const std::string& name) {
  std::vector<const OpBench*> found;
  std::set<std::string> names;
  for (const OpBench& op : op_benches()) {
    names.insert(folder_of(op));
    if (name.empty() || name == op.name || name == folder_of(op)) found.push_back(&op);
  }
  const bool named = !found.empty();
  if (!on_gpu()) std::erase_if(found, [](const OpBench* op) { return op->needs_gpu; });
  FELBO_CHECK(!named || !found.empty(), "--op {} is timed on a GPU alone", name);
  FELBO_CHECK(!found.empty(), "--op '{}' is no op that is timed: {}, or one of their rows, as {}", name,
              fmt::join(names, ", "), op_benches().front().name);
  return found;
}

}  // namespace

std::vector<OpBench>& op_benches() {
  static std::vector<OpBench> ops;
  return ops;
}

std::string text_of(const OpBench& op, const Shape& shape) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < shape.size(); ++i)
    parts.push_back(fmt::format("{}:{}", op.dimensions[i], shape[i]));
  return fmt::format("{}", fmt::join(parts, "/"));
}

std::optional<double> reference_seconds(const OpBench& op, const Shape& shape) {
  const Work work = op.work(shape);
  if (!op.on_host || (work.bytes + work.operations) / kReferenceRate > kReferenceSeconds) return std::nullopt;
  const OnHost on = op.on_host(shape);
  const auto call = [&] {
    std::vector<double> result = on.reference();
    benchmark::DoNotOptimize(result.data());
  };
  std::vector<double> seconds{seconds_per_call(CpuExec(1), call, 1)};
  for (double all = seconds[0]; all + seconds[0] < 0.1; all += seconds.back())
    seconds.push_back(seconds_per_call(CpuExec(1), call, 1));
  return median(std::move(seconds));
}

Shapes shapes_from_name(const std::string& name) {
  if (name == "usual") return Shapes::kUsual;
  if (name == "grid") return Shapes::kGrid;
  FELBO_CHECK(name == "full", "--shapes {}: give usual, grid or full", name);
  return Shapes::kFull;
}

double memory_of(const Work& work) { return 2.0 * std::max(work.bytes, 2.0 * kOutOfCache); }

Cells cells_of(Shapes shapes, const std::string& op, double memory, const Peaks& peaks) {
  Cells cells;
  for (const OpBench* each : ops_of(op)) {
    const bool usual = shapes == Shapes::kUsual || each->compares;
    for (const Shape& shape : usual ? each->usual : product_of(*each, shapes)) {
      const Cell cell{each, shape, each->work(shape)};
      if (!usual && shapes == Shapes::kGrid && least_seconds(cell.work, peaks) > kGridSeconds) continue;
      (memory_of(cell.work) > memory ? cells.too_large : cells.timed).push_back(cell);
    }
  }
  return cells;
}

}  // namespace felbo::bench
