// `felbo bench`: rates, and how much of what the machine allows they are.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <ranges>
#include <regex>

#include "benchmarks/bench_exec.h"
#include "benchmarks/bench_json.h"
#include "benchmarks/gradient_bench.h"
#include "benchmarks/op_bench.h"
#include "benchmarks/peaks.h"
#include "benchmarks/scaling_bench.h"
#include "benchmarks/step_bench.h"
#include "benchmarks/train_bench.h"
#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/report/roofline_page.h"
#include "host/run/atomic_file.h"
#include "host/run/run_config.h"
#include "kernels/common/check.h"

namespace felbo {
namespace {

using bench::or_null;

struct BenchFlags {
  std::string what = "all";
  std::string filter, op, shapes = "usual";
  DeviceRequest device;
  int repetitions = 5;
  int draws = 200;
  std::string precision;  // empty: all that the device has
  std::string shape;      // X-H-...-Z of a step; empty: the usual ones
  std::int64_t batch = 128;
  int samples = 1;
  std::filesystem::path out, report;
  bool json = false, hot = false, reference = false;
};

/// A row of the results; the table for a person is printed as the rows come.
class Results {
 public:
  explicit Results(bool json) : json_(json) {}

  void add(const std::string& name, const std::string& params, double seconds, std::optional<double> bytes,
           std::optional<double> flops, std::optional<double> roofline, const std::string& note = {},
           const nlohmann::ordered_json& more = {}) {
    nlohmann::ordered_json row{
        {"name", name},
        {"params", params},
        {"seconds", seconds},
        {"bytes", or_null(bytes)},
        {"flops", or_null(flops)},
        {"gb_per_s", or_null(bytes ? std::optional(*bytes / seconds * 1e-9) : std::nullopt)},
        {"gflop_per_s", or_null(flops ? std::optional(*flops / seconds * 1e-9) : std::nullopt)},
        {"roofline", or_null(roofline)}};
    if (more.is_object()) row.update(more);
    rows_.push_back(row);
    if (json_) return;
    fmt::print("{:<34} {:<20} {:>11.1f} us", name, params, seconds * 1e6);
    fmt::print(" {:>10}", bytes ? fmt::format("{:.1f} GB/s", *bytes / seconds * 1e-9) : "");
    fmt::print(" {:>13}", flops ? fmt::format("{:.1f} GFLOP/s", *flops / seconds * 1e-9) : "");
    fmt::print(" {:>6}  {}\n", roofline ? fmt::format("{:.0f} %", 100.0 * *roofline) : "", note);
    std::fflush(stdout);
  }

  /// A line for a person.
  void say(const std::string& line) const {
    if (!json_) fmt::print("{}\n", line);
  }
  nlohmann::ordered_json rows() const { return rows_; }

 private:
  bool json_;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
};

/// The message of a run that failed, else "". Google Benchmark 1.8 renamed the members.
template <class Run>
std::string error_of(const Run& run) {
  if constexpr (requires { run.error_occurred; }) {
    return run.error_occurred ? run.error_message : "";
  } else {
    return run.skipped ? run.skip_message : "";
  }
}

/// The counter of what bounds an op, a second, measured beside each repetition.
constexpr const char* kRoofRate = "roof_rate";

/// What bounds an op of this work; nothing where the data stay in a cache and no other roof is lower.
std::optional<bench::Roof> bound_of(const Work& work, bool in_cache, const bench::Peaks& peaks) {
  const bench::Roof roof = bench::roof_of(work, peaks);
  return roof == bench::Roof::kMemory && in_cache ? std::nullopt : std::optional(roof);
}

/// Repetitions that scatter more than this were not timed on a quiet machine, or not for long enough.
constexpr double kWideSpread = 0.1;

/// The standard deviation over the repetitions by their mean, where there are several.
template <class Run>
std::optional<double> spread_of(const std::vector<Run>& runs) {
  const auto time_of = [&](const char* aggregate) {
    const auto run = std::ranges::find_if(runs, [&](const Run& r) { return r.aggregate_name == aggregate; });
    return run == runs.end() ? 0.0 : run->real_accumulated_time / static_cast<double>(run->iterations);
  };
  const double mean = time_of("mean");
  return mean > 0.0 ? std::optional(time_of("stddev") / mean) : std::nullopt;
}

/// Takes the medians that Google Benchmark computes over the repetitions.
class MedianReporter : public benchmark::BenchmarkReporter {
 public:
  /// `cells`: what was registered, by the names that it was registered with. `reference`: whether the double
  /// reference of each is timed too.
  MedianReporter(Results& results, const bench::Peaks& peaks,
                 const std::map<std::string, const bench::Cell*>& cells, bool reference)
      : results_(results), peaks_(peaks), cells_(cells), reference_(reference) {}

  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const std::string error = error_of(run);
      if (!error.empty()) throw std::runtime_error(run.benchmark_name() + ": " + error);
      if (run.run_type != Run::RT_Aggregate || run.aggregate_name != "median") continue;
      // An aggregate counts a repetition as an iteration, and its time is multiplied by their number.
      const double seconds = run.real_accumulated_time / static_cast<double>(run.iterations);
      const double bytes = run.counters.at("bytes"), flops = run.counters.at("operations");
      const bool in_cache = run.counters.at("out_of_cache") == 0.0;
      const double words = run.counters.at("words");
      const Work work{bytes, flops, words};
      nlohmann::ordered_json more{{"in_cache", in_cache}, {"cache", bench::hot() ? "hot" : "cold"}};
      std::optional<double> share;
      std::string note;
      if (const auto roof = bound_of(work, in_cache, peaks_)) {
        const double rate = run.counters.at(kRoofRate);
        share = bench::amount_under(*roof, work) / rate / seconds;
        note = fmt::format("of the {} roof", name_of(*roof));
        more["roof"] = name_of(*roof);
        more["roof_rate"] = 1e-9 * rate;
      } else {
        note = "in cache";
      }
      if (words > 0.0) more["words"] = words;
      const std::optional<double> spread = spread_of(runs);
      more["spread"] = or_null(spread);
      if (spread && *spread > kWideSpread) {
        ++spread_widely_;
        note += fmt::format("{}repetitions spread by {:.0f} %", note.empty() ? "" : "; ", 100.0 * *spread);
      }
      for (const char* key : {"unfused_seconds", "fused_speedup", "curand_seconds", "curand_speedup"}) {
        const auto counter = run.counters.find(key);
        if (counter != run.counters.end()) more[key] = counter->second.value;
      }
      if (more.contains("fused_speedup"))
        note += fmt::format("{}separate kernels take {:.2f} times as long", note.empty() ? "" : "; ",
                            more["fused_speedup"].get<double>());
      const bench::Cell& cell = *cells_.at(run.run_name.function_name);
      if (reference_) note += add_reference(cell, seconds, more);
      results_.add(cell.op->name, bench::text_of(*cell.op, cell.shape), seconds, bytes, flops, share, note,
                   more);
    }
  }
  /// Timings whose repetitions spread widely.
  int spread_widely() const { return spread_widely_; }

 private:
  /// The keys of the reference, and what of it stands in the table.
  static std::string add_reference(const bench::Cell& cell, double seconds, nlohmann::ordered_json& more) {
    bench::kept() = {};  // the timed arrays make room for the reference's
    const std::optional<double> reference = bench::reference_seconds(*cell.op, cell.shape);
    const std::optional<double> times = reference ? std::optional(*reference / seconds) : std::nullopt;
    more["reference_seconds"] = or_null(reference);
    more["times_the_reference"] = or_null(times);
    return times ? fmt::format("; {:.3g} times the reference's rate", *times) : "";
  }

  Results& results_;
  const bench::Peaks& peaks_;
  const std::map<std::string, const bench::Cell*>& cells_;
  bool reference_;
  int spread_widely_ = 0;
};

/// Throws std::invalid_argument if --filter is no regular expression.
std::regex filter_of(const BenchFlags& flags) {
  try {
    return std::regex(flags.filter);
  } catch (const std::regex_error& error) {
    throw std::invalid_argument(
        fmt::format("--filter '{}' is no regular expression: {}", flags.filter, error.what()));
  }
}

/// Of one timing, and of its roof; a row has --repetitions of them.
constexpr double kTimingSeconds = 0.1, kGridTimingSeconds = 0.02, kRoofSeconds = 0.04;
double timing_seconds(bench::Shapes shapes) {
  return shapes == bench::Shapes::kUsual ? kTimingSeconds : kGridTimingSeconds;
}

/// About how long the cells take: a call reaches half of what the peaks allow, say; Google Benchmark looks
/// for a number of calls before the repetitions; and one thread fills the arrays, at 1 GB a second. A
/// reference that is timed takes what it is expected to.
double seconds_of(const std::vector<bench::Cell>& cells, const bench::Peaks& peaks, const BenchFlags& flags,
                  double timing) {
  double seconds = 0.0;
  for (const bench::Cell& cell : cells) {
    const double call = 2.0 * bench::least_seconds(cell.work, peaks);
    seconds += 1e-9 * bench::memory_of(cell.work) +
               (flags.repetitions + 2) * (std::max(1.2 * timing, call) + kRoofSeconds);
    const double reference = (cell.work.bytes + cell.work.operations) / bench::kReferenceRate;
    if (flags.reference && cell.op->on_host && reference <= bench::kReferenceSeconds) seconds += reference;
  }
  return seconds;
}

std::string name_of(const bench::Cell& cell) {
  return fmt::format("{}/{}/{}", cell.op->name, bench::text_of(*cell.op, cell.shape),
                     cell.op->compares ? "manual_time" : "real_time");
}

/// What the filters leave; of `noise` what makes random numbers.
void keep_matching(std::vector<bench::Cell>& cells, const BenchFlags& flags) {
  if (flags.what == "noise") {
    std::erase_if(cells, [](const bench::Cell& cell) { return cell.work.words == 0.0 || cell.op->compares; });
    return;
  }
  std::erase_if(cells, [filter = filter_of(flags)](const bench::Cell& cell) {
    return !std::regex_search(name_of(cell), filter);
  });
}

/// Bytes that the arrays of an op may take, beside those by which the peaks are measured.
double memory_for(const CpuExec&) { return 0.8 * physical_memory(); }
#if FELBO_WITH_CUDA
double memory_for(const CudaExec& exec) {
  constexpr double kForPeaks = 3e9;
  return std::min(0.9 * static_cast<double>(exec.device().memory) - kForPeaks, 0.8 * physical_memory());
}
#endif

bench::Cells cells_to_time(const BenchFlags& flags, const bench::Peaks& peaks) {
  const double memory = bench::on_device([](const auto& exec) { return memory_for(exec); });
  bench::Cells cells = bench::cells_of(bench::shapes_from_name(flags.shapes), flags.op, memory, peaks);
  keep_matching(cells.timed, flags);
  keep_matching(cells.too_large, flags);
  return cells;
}

/// Throws std::invalid_argument if what the flags ask for is no row, before any time is spent.
void check_rows(const BenchFlags& flags) {
  constexpr double kAny = std::numeric_limits<double>::infinity();
  bench::Cells cells =
      bench::cells_of(bench::shapes_from_name(flags.shapes), flags.op, kAny, {kAny, kAny, kAny, ""});
  keep_matching(cells.timed, flags);
  FELBO_CHECK(!cells.timed.empty() || flags.what == "all", "--filter '{}' matches no benchmark",
              flags.filter);
}

/// What is not timed because it would take more memory than there is, for --json.
nlohmann::ordered_json skipped(const std::vector<bench::Cell>& cells) {
  auto rows = nlohmann::ordered_json::array();
  for (const bench::Cell& cell : cells)
    rows.push_back({{"name", cell.op->name},
                    {"params", bench::text_of(*cell.op, cell.shape)},
                    {"bytes_needed", bench::memory_of(cell.work)}});
  return rows;
}

/// Registers the cells with Google Benchmark; by the names that it has for them. Each repetition measures its
/// roof once more: on a shared machine the speed of memory, too, drifts by the minute.
std::map<std::string, const bench::Cell*> register_cells(const std::vector<bench::Cell>& cells,
                                                         const bench::Peaks& peaks,
                                                         const bench::PeakMeter& meter, double timing) {
  std::map<std::string, const bench::Cell*> by_name;
  for (const bench::Cell& cell : cells) {
    const std::string name = fmt::format("{}/{}", cell.op->name, bench::text_of(*cell.op, cell.shape));
    by_name[name] = &cell;
    auto* bench =
        benchmark::RegisterBenchmark(name.c_str(), [&cell, &peaks, &meter](benchmark::State& state) {
          cell.op->run(state, cell.shape);
          if (state.counters.empty()) return;  // it failed
          const bool in_cache = state.counters.at("out_of_cache") == 0.0;
          const auto roof = bound_of(cell.work, in_cache, peaks);
          if (roof) state.counters[kRoofRate] = meter(*roof);
        });
    bench->MinTime(timing);
    if (cell.op->compares) {
      bench->UseManualTime();
    } else {
      bench->UseRealTime();
    }
  }
  return by_name;
}

bench::Peaks measure_peaks(Results& results) {
  const auto [array, bandwidth] =
      bench::on_device([](const auto& exec) { return bench::copy_bandwidth(exec); });
  const auto [n, rate, by] =
      bench::on_device([](const auto& exec) { return bench::product_rate(exec, Precision::kFp32); });
  const double moved = 2.0 * static_cast<double>(array);
  results.add("memory/copy", fmt::format("{:.0f} MiB", moved / (1 << 20)), moved / bandwidth, moved,
              std::nullopt, 1.0, "measured bandwidth");
  const double words = bench::on_device([](const auto& exec) { return bench::word_rate(exec); });
  return {bandwidth, rate, words, fmt::format("a product of {0} x {0} matrices by {1}", n, by)};
}

/// Times the cells; `too_large` ones are named.
void bench_kernels(const BenchFlags& flags, const bench::Cells& cells, const bench::Peaks& peaks,
                   Results& results) {
  const double timing = timing_seconds(bench::shapes_from_name(flags.shapes));
  spdlog::info("{} rows, about {:.1f} min", cells.timed.size(),
               seconds_of(cells.timed, peaks, flags, timing) / 60.0);
  for (const bench::Cell& cell : cells.too_large)
    results.say(fmt::format("{:<34} {:<20} needs {:.1f} GiB of memory", cell.op->name,
                            bench::text_of(*cell.op, cell.shape), bench::memory_of(cell.work) / (1 << 30)));
  std::vector<std::string> words{"felbo", "--benchmark_report_aggregates_only=true",
                                 fmt::format("--benchmark_repetitions={}", flags.repetitions)};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  int argc = static_cast<int>(argv.size());
  benchmark::Initialize(&argc, argv.data());
  const auto meter = bench::on_device([](const auto& exec) { return bench::peak_meter(exec); });
  const auto by_name = register_cells(cells.timed, peaks, meter, timing);
  MedianReporter reporter(results, peaks, by_name, flags.reference);
  benchmark::RunSpecifiedBenchmarks(&reporter, ".");
  bench::kept() = {};  // before its Exec
  if (reporter.spread_widely() > 0) {
    spdlog::warn(
        "the repetitions of {} of {} timings have a standard deviation above {:.0f} % of their mean: "
        "the machine is busy, or its clock moves",
        reporter.spread_widely(), cells.timed.size(), 100.0 * kWideSpread);
  }
}

/// Those of training's matrix products on this device: all, or the one asked for.
std::vector<Precision> precisions(const BenchFlags& flags, bool on_gpu) {
  if (!flags.precision.empty()) return {precision_from_name(flags.precision)};
  if (!on_gpu) return {Precision::kFp32};
  return {Precision::kFp32, Precision::kTf32, Precision::kBf16};
}

void bench_gemm(Results& results, const std::vector<Precision>& precisions) {
  for (const Precision precision : precisions) {
    const auto [n, rate, by] =
        bench::on_device([&](const auto& exec) { return bench::product_rate(exec, precision); });
    const double flops = 2.0 * std::pow(static_cast<double>(n), 3);
    results.add("gemm/square", fmt::format("{}/{}", n, name_of(precision)), flops / rate, std::nullopt, flops,
                1.0, by + ", measured rate", {{"precision", name_of(precision)}});
  }
}

/// The step of --shape. Throws std::invalid_argument unless it is one that this machine's memory can hold.
bench::StepShape shape_of(const BenchFlags& flags) {
  std::vector<std::string> widths;
  for (const auto part : std::views::split(flags.shape, '-')) widths.emplace_back(part.begin(), part.end());
  FELBO_CHECK(widths.size() >= 2, "--shape {}: expected X-H-Z, as 784-500-20, or more hidden widths",
              flags.shape);
  RunConfig config;
  config.latent = widths.back();
  config.hidden =
      widths.size() == 2 ? "none" : fmt::format("{}", fmt::join(widths.begin() + 1, widths.end() - 1, ","));
  config.batch = flags.batch;
  config.samples = flags.samples;
  std::int64_t X = 0;
  const auto [end, error] = std::from_chars(widths[0].data(), widths[0].data() + widths[0].size(), X);
  FELBO_CHECK(error == std::errc() && end == widths[0].data() + widths[0].size() && X >= 1,
              "--shape {}: '{}' is no number of dimensions", flags.shape, widths[0]);
  validate(config, X);
  check_memory(config, X, flags.batch);
  const VaeConfig vae = vae_config(config, X);
  return {X, vae.hidden, vae.latent, flags.batch, flags.samples};
}

/// The steps that are timed: that of --shape, else those that the filter matches.
/// benchmarks/peers/workload.py has those of a CPU too.
std::vector<bench::StepShape> step_shapes(const BenchFlags& flags, bool on_gpu) {
  if (flags.what != "step" && flags.what != "all") return {};
  if (!flags.shape.empty()) return {shape_of(flags)};
  std::vector<bench::StepShape> shapes{
      {784, {500}, 20, 128}, {784, {200}, 50, 100}, {784, {2000}, 64, 512}, {784, {2000, 2000}, 64, 512}};
  if (on_gpu) shapes.push_back({4096, {8192, 8192}, 1024, 8192});  // minutes on a CPU
  std::erase_if(shapes, [filter = filter_of(flags)](const bench::StepShape& shape) {
    return !std::regex_search("step/" + bench::name_of(shape), filter);
  });
  FELBO_CHECK(!shapes.empty() || flags.what == "all", "--filter '{}' matches no step", flags.filter);
  return shapes;
}

void bench_steps(Results& results, const std::vector<bench::StepShape>& shapes, Precision precision) {
  for (const bench::StepShape& shape : shapes) {
    const bench::StepTiming t = bench::time_step(shape, precision);
    const double rate = static_cast<double>(t.batch) / t.seconds,
                 products = static_cast<double>(t.batch) / t.product_seconds;
    results.add("step/" + t.name,
                fmt::format("B:{}{}/{}", t.batch,
                            shape.samples > 1 ? fmt::format("/S:{}", shape.samples) : "", name_of(precision)),
                t.seconds, std::nullopt, t.flops, std::nullopt,
                fmt::format("{:.1f}k samples/s; its products alone {:.1f}k: a share of {:.2f}; {} launches",
                            rate * 1e-3, products * 1e-3, t.share, t.launches),
                {{"precision", name_of(precision)},
                 {"samples_per_second", rate},
                 {"product_samples_per_second", products},
                 {"share_of_products", t.share},
                 {"launches", t.launches}});
  }
}

/// Those of the sweeps that the filter matches.
std::vector<std::string> scaling_sweeps(const BenchFlags& flags) {
  if (flags.what != "scaling") return {};
  std::vector<std::string> names = bench::scaling_names();
  std::erase_if(names, [filter = filter_of(flags)](const std::string& name) {
    return !std::regex_search("scaling/" + name, filter);
  });
  FELBO_CHECK(!names.empty(), "--filter '{}' matches no sweep of scaling/{}", flags.filter,
              fmt::join(bench::scaling_names(), ", scaling/"));
  return names;
}

void bench_scaling(Results& results, const std::string& varied, Precision precision,
                   nlohmann::ordered_json& growths) {
  const bench::Growth growth = bench::measure_growth(varied, precision);
  for (const bench::SizeCost& c : growth.costs) {
    results.add("scaling/" + varied, fmt::format("{}:{}/{}", varied, c.size, name_of(precision)), c.seconds,
                std::nullopt, std::nullopt, std::nullopt,
                fmt::format("{:.3f} of the line; {} B:{} S:{}", c.on_line, bench::name_of(c.shape),
                            c.shape.batch, c.shape.samples),
                {{"precision", name_of(precision)},
                 {"size", c.size},
                 {"of_line", c.on_line},
                 {"samples_per_second", static_cast<double>(c.shape.batch) / c.seconds}});
  }
  results.say(fmt::format("    seconds = {:.3g} + {:.3g} {}, within {:.1f} %; exponent {:.3f}", growth.offset,
                          growth.slope, varied, 100.0 * growth.departure, growth.exponent));
  growths.push_back({{"varied", varied},
                     {"precision", name_of(precision)},
                     {"offset_seconds", growth.offset},
                     {"seconds_each", growth.slope},
                     {"departure", growth.departure},
                     {"exponent", growth.exponent}});
}

void bench_gradients(const BenchFlags& flags, Results& results) {
  for (const bench::GradientScatter& g : bench::gradient_scatter(flags.draws)) {
    results.add(
        "gradients/" + g.objective, fmt::format("B:20/S:{}", g.samples), g.seconds, std::nullopt,
        std::nullopt, std::nullopt,
        fmt::format(
            "encoder: variance {:.3g}, {:.3f} of {}'s, signal to noise {:.3f}; decoder: variance {:.3g}",
            g.encoder_variance, g.encoder_ratio,
            g.objective == "iwae" || g.objective == "dreg" ? "iwae" : "elbo", g.encoder_snr,
            g.decoder_variance),
        {{"samples", g.samples},
         {"draws", flags.draws},
         {"encoder_variance", g.encoder_variance},
         {"decoder_variance", g.decoder_variance},
         {"encoder_variance_ratio", g.encoder_ratio},
         {"encoder_snr", g.encoder_snr}});
  }
}

/// About how long `bench all` goes on behind its kernels. A step and its products are timed in turn for some
/// seconds; a draw is a step of each objective at each number of samples.
double seconds_of_steps(std::size_t steps, int draws) {
  return 7.0 * static_cast<double>(steps) + 0.15 * static_cast<double>(draws);
}

/// The rows of the kernels, with what they were timed by.
void run_kernels(const BenchFlags& flags, Results& results, nlohmann::ordered_json& measured) {
  const bench::Peaks peaks = measure_peaks(results);
  const bench::Cells cells = cells_to_time(flags, peaks);
  bench_kernels(flags, cells, peaks, results);
  measured["shapes"] = flags.shapes;
  measured["cache"] = flags.hot ? "hot" : "cold";
  measured["skipped"] = skipped(cells.too_large);
  measured["peaks"] = {{"gb_per_s", peaks.bytes_per_second * 1e-9},
                       {"gflop_per_s", peaks.flops_per_second * 1e-9},
                       {"gword_per_s", peaks.words_per_second * 1e-9},
                       {"by", peaks.by}};
}

void run_bench(const BenchFlags& flags) {
  const bool all = flags.what == "all";
  FELBO_CHECK(all || flags.what == "kernels" || flags.what == "noise" || flags.what == "gemm" ||
                  flags.what == "step" || flags.what == "scaling" || flags.what == "gradients",
              "bench what? kernels, noise, gemm, step, train, scaling, gradients or all; got '{}'",
              flags.what);
  FELBO_CHECK(flags.draws >= 2 && flags.draws <= 1'000'000, "--draws must be between 2 and 1000000, got {}",
              flags.draws);
  FELBO_CHECK(flags.repetitions >= 2 && flags.repetitions <= 1000,
              "--repetitions must be between 2 and 1000, got {}", flags.repetitions);
  const std::optional<int> cuda = cuda_index(flags.device);
#if FELBO_WITH_CUDA
  if (cuda) bench::bench_exec().emplace<CudaExec>(*cuda);
#endif
  if (!cuda && !flags.precision.empty()) {
    check_cpu_precision({flags.device.device, flags.device.threads, precision_from_name(flags.precision)});
  }
  if (!cuda) bench::bench_exec().emplace<CpuExec>(flags.device.threads);
  const std::string device = bench::on_device([](const auto& exec) { return describe_device(exec); });
  bench::hot() = flags.hot;
  const bool kernels = all || flags.what == "kernels" || flags.what == "noise";
  if (kernels) check_rows(flags);
  const std::vector<bench::StepShape> shapes = step_shapes(flags, cuda.has_value());
  const std::vector<std::string> sweeps = scaling_sweeps(flags);
  if (!flags.json) fmt::print("{}; medians\n", device);
  Results results(flags.json);
  nlohmann::ordered_json measured = bench::measured_on(device);
  if (kernels) run_kernels(flags, results, measured);
  const std::vector<Precision> in = precisions(flags, cuda.has_value());
  if (all)
    spdlog::info("then products, {} steps and the gradients of {} draws, about {:.1f} min",
                 shapes.size() * in.size(), flags.draws,
                 seconds_of_steps(shapes.size() * in.size(), flags.draws) / 60.0);
  if (all || flags.what == "gemm") bench_gemm(results, in);
  for (const Precision precision : in) bench_steps(results, shapes, precision);
  for (const Precision precision : in) {
    for (const std::string& varied : sweeps) bench_scaling(results, varied, precision, measured["growth"]);
  }
  if (all || flags.what == "gradients") bench_gradients(flags, results);
  measured["peak_memory_mb"] = bench::peak_memory_mb();
  measured["results"] = results.rows();
  if (!flags.out.empty()) write_file_atomically(flags.out, measured.dump(2) + "\n");
  if (!flags.report.empty())
    write_file_atomically(flags.report, report::roofline_page(measured, FELBO_VERSION));
  if (flags.json) print_json(measured);
}

/// Flags that not every WHAT has a use for.
const std::pair<const char*, std::vector<std::string>> kFlagsOf[] = {
    {"--repetitions", {"kernels", "noise", "all"}},
    {"--filter", {"kernels", "step", "scaling", "all"}},
    {"--op", {"kernels"}},
    {"--shapes", {"kernels", "noise", "all"}},
    {"--hot", {"kernels", "noise", "all"}},
    {"--reference", {"kernels", "noise", "all"}},
    {"--precision", {"gemm", "step", "scaling", "all"}},
    {"--shape", {"step"}},
    {"--draws", {"gradients", "all"}}};

void check_flags(const CLI::App& command, const BenchFlags& flags) {
  bench::check_output("--out", flags.out, ".json");
  bench::check_output("--report", flags.report, ".html");
  for (const auto& [flag, with] : kFlagsOf) {
    FELBO_CHECK(command.get_option(flag)->count() == 0 || std::ranges::count(with, flags.what) > 0,
                "{} goes with bench {}, not with bench {}", flag, fmt::join(with, ", "), flags.what);
  }
  FELBO_CHECK(flags.shape.empty() || flags.filter.empty(), "--shape goes without --filter");
  FELBO_CHECK(!flags.shape.empty() || (command.get_option("--batch")->count() == 0 &&
                                       command.get_option("--samples")->count() == 0),
              "--batch and --samples go with --shape");
}

}  // namespace

void add_bench_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("bench", "Time the ops and the training step against what this machine allows");
  auto flags = std::make_shared<BenchFlags>();
  command->option_defaults()->always_capture_default();
  command->add_option(
      "WHAT", flags->what,
      "kernels, gemm, step, gradients (how the objectives' estimates scatter) or all of these; or "
      "noise: the kernels that make random numbers; scaling: how a step's cost grows with each size; or "
      "train, which has flags of its own");
  command->add_option("--filter", flags->filter,
                      "Regular expression: the kernels, steps and sweeps whose name matches");
  command->add_option("--op", flags->op,
                      "The one op to time, as adam, or one of its rows, as adam/step (kernels)");
  command->add_option(
      "--shapes", flags->shapes,
      "usual: sizes of real models, and one out of the caches; grid: of B, X, Z and S from few "
      "to many; full: of all of them (kernels)");
  command->add_flag(
      "--hot", flags->hot,
      "Work on the same arrays again and again, in whatever cache they fit, and not on copies of "
      "them in turn that leave the caches (kernels)");
  command->add_flag(
      "--reference", flags->reference,
      fmt::format("Time the double reference of each op too, on one thread of the CPU, where it "
                  "may be expected to take at most {:.0f} seconds a call (kernels)",
                  bench::kReferenceSeconds));
  command->add_option("--shape", flags->shape,
                      "Widths X-H-...-Z of the one step to time, as 784-500-20 (step)");
  command->add_option("--batch", flags->batch, "Data a step of --shape");
  command->add_option("--samples", flags->samples, "Samples of z a datum in a step of --shape");
  command->add_option("--repetitions", flags->repetitions, "Timings of which the median is taken (kernels)");
  command->add_option("--draws", flags->draws,
                      "Draws of the noise that variances are taken over (gradients)");
  command->add_option("--precision", flags->precision,
                      "fp32, tf32 or bf16 (gemm, step, scaling); all that the device has if not given");
  command->add_option("--threads", flags->device.threads, "CPU threads, 0 for all cores");
  command->add_option("--device", flags->device.device, "auto, cpu, cuda or cuda:N");
  command->add_option("--out", flags->out, "Also write the object of --json to this file, FILE.json");
  command->add_option("--report", flags->report,
                      "Also write a page, FILE.html: the roofline of the kernels and the table");
  command->add_flag("--json", flags->json, "Print one JSON object as the last line of standard output");
  CLI::App* train = bench::add_train_bench(*command);
  command->callback([command, flags, train] {
    if (train->parsed()) return;
    check_flags(*command, *flags);
    run_bench(*flags);
  });
}

}  // namespace felbo
