// interpolate, traverse: what lies between codes, and along one latent dimension.
#include <algorithm>
#include <numeric>

#include "host/cli/applied_run.h"
#include "host/evaluate/latent.h"
#include "host/evaluate/latent_path.h"
#include "host/report/npy_writer.h"
#include "host/report/png_writer.h"

namespace felbo {
namespace {

constexpr std::int64_t kMostSteps = 10'000;

std::span<const float> row_of(const std::vector<float>& values, std::int64_t row, std::int64_t cols) {
  return {values.data() + row * cols, static_cast<std::size_t>(cols)};
}

void check_steps(std::int64_t steps) {
  FELBO_CHECK(steps >= 2 && steps <= kMostSteps, "--steps must be between 2 and {}, got {}", kMostSteps,
              steps);
}

void check_row(std::int64_t row, const NamedPart& part, const char* flag) {
  FELBO_CHECK(row >= 0 && row < part.part->rows, "{} {}: the {} part has rows 0 to {}", flag, row, part.name,
              part.part->rows - 1);
}

// --- interpolate ------------------------------------------------------------------------------------------

struct InterpolateFlags : ApplyFlags {
  std::int64_t count = 5;
  std::vector<std::int64_t> rows;
  std::int64_t steps = 10;
  std::string path = "linear";
};

/// Rows of the data, two a path.
std::vector<std::int64_t> ends(const InterpolateFlags& flags, const NamedPart& part) {
  std::vector<std::int64_t> rows = flags.rows;
  if (rows.empty()) {
    FELBO_CHECK(flags.count >= 1 && flags.count <= part.part->rows / 2,
                "--count must be between 1 and {}, half the {} {} data, got {}", part.part->rows / 2,
                part.part->rows, part.name, flags.count);
    rows.resize(static_cast<std::size_t>(2 * flags.count));
    std::iota(rows.begin(), rows.end(), std::int64_t{0});
  }
  FELBO_CHECK(rows.size() % 2 == 0, "--rows names {} rows: give pairs, as in 0,1,5,9", rows.size());
  for (const std::int64_t row : rows) check_row(row, part, "--rows");
  return rows;
}

/// A line a pair: the first datum, E[x|z] along the path, the second datum.
void write_paths(const PictureOutput& out, const std::vector<float>& along, const std::vector<float>& data,
                 std::int64_t pairs, std::int64_t steps, std::int64_t X) {
  if (out.out.extension() == ".npy") return write_npy(out.out, along, {pairs, steps, X});
  ImageGrid grid{{}, out.shape.height, out.shape.width, steps + 2};
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    grid.tiles.push_back(row_of(data, 2 * pair, X));
    for (std::int64_t i = 0; i < steps; ++i) grid.tiles.push_back(row_of(along, pair * steps + i, X));
    grid.tiles.push_back(row_of(data, 2 * pair + 1, X));
  }
  write_png_grid(out.out, grid);
}

void run_interpolate(const InterpolateFlags& flags) {
  const PathKind kind = path_from_name(flags.path);
  check_steps(flags.steps);
  RunOnData r = load_run_on_data(flags);
  check_one_layer(r.run, "interpolate");
  const DataPart& part = r.part();
  const std::int64_t X = part.cols, Z = r.run.vae.config().latent;
  check_picture(r.run.config, {flags.out, part.shape});
  const std::vector<std::int64_t> rows = ends(flags, r.named_part());
  const auto pairs = static_cast<std::int64_t>(rows.size()) / 2;
  check_fits_memory("--steps", pairs * flags.steps, X);
  std::vector<float> data;
  const std::vector<float> along = with_model(flags, r.run, [&](const auto& model) {
    const Encoded encoded = model.encode(part, std::ranges::max(rows) + 1, true);
    std::vector<float> codes;
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      const std::int64_t a = rows[static_cast<std::size_t>(2 * pair)],
                         b = rows[static_cast<std::size_t>(2 * pair + 1)];
      std::ranges::copy(path(kind, row_of(encoded.code(), a, Z), row_of(encoded.code(), b, Z), flags.steps),
                        std::back_inserter(codes));
      for (const std::int64_t row : {a, b})
        std::ranges::copy(row_of(encoded.x, row, X), std::back_inserter(data));
    }
    return model.decode(codes);
  });
  write_paths({flags.out, part.shape}, along, data, pairs, flags.steps, X);
  if (flags.common.json)
    return print_json({{"out", flags.out.string()},
                       {"count", pairs},
                       {"steps", flags.steps},
                       {"path", flags.path},
                       {"rows", rows}});
  fmt::print("{} {} paths of {} steps in {}\n", pairs, flags.path, flags.steps, flags.out.string());
}

// --- traverse ---------------------------------------------------------------------------------------------

struct TraverseFlags : ApplyFlags {
  std::int64_t row = 0;
  std::int64_t dimensions = 0;
  std::int64_t steps = 9;
  double reach = 3.0;
};

/// Dimensions by their KL over the part, the largest first; where the KL is no sum over dimensions, by the
/// variance of the code.
struct Ranking {
  bool by_kl = true;
  std::vector<double> value;  // (Z) nats, or the variance
  std::vector<std::int64_t> dimensions;
};

Ranking rank(const Encoded& encoded, const VaeConfig& config, std::int64_t most) {
  const std::int64_t Z = config.latent;
  LatentSums sums(Z, config.clamp);
  std::vector<float> posterior(static_cast<std::size_t>(2 * Z));
  for (std::int64_t n = 0; n < encoded.count; ++n) {
    std::ranges::copy(row_of(encoded.code(), n, Z), posterior.begin());
    std::ranges::copy(row_of(encoded.log_var, n, Z), posterior.begin() + Z);
    sums.add(posterior);
  }
  const LatentDiagnostics latent = sums.diagnose();
  const bool by_kl = config.prior.is_standard() && !config.posterior.couples_dimensions();
  Ranking ranking{by_kl, by_kl ? latent.kl : latent.variance_of_mean,
                  std::vector<std::int64_t>(static_cast<std::size_t>(Z))};
  std::iota(ranking.dimensions.begin(), ranking.dimensions.end(), std::int64_t{0});
  std::ranges::stable_sort(ranking.dimensions, std::greater(),
                           [&](std::int64_t d) { return ranking.value[static_cast<std::size_t>(d)]; });
  ranking.dimensions.resize(static_cast<std::size_t>(most));
  return ranking;
}

/// A line a dimension, the datum before the first.
void write_traversals(const PictureOutput& out, const std::vector<float>& along, std::span<const float> datum,
                      std::int64_t dimensions, std::int64_t steps, std::int64_t X) {
  if (out.out.extension() == ".npy") return write_npy(out.out, along, {dimensions, steps, X});
  ImageGrid grid{{}, out.shape.height, out.shape.width, steps + 1};
  for (std::int64_t d = 0; d < dimensions; ++d) {
    grid.tiles.push_back(d == 0 ? datum : std::span<const float>());
    for (std::int64_t i = 0; i < steps; ++i) grid.tiles.push_back(row_of(along, d * steps + i, X));
  }
  write_png_grid(out.out, grid);
}

void report(const TraverseFlags& flags, const Ranking& ranking) {
  std::vector<double> values;
  for (const std::int64_t d : ranking.dimensions)
    values.push_back(ranking.value[static_cast<std::size_t>(d)]);
  if (flags.common.json) {
    return print_json({{"out", flags.out.string()},
                       {"row", flags.row},
                       {"steps", flags.steps},
                       {"range", flags.reach},
                       {"dimensions", ranking.dimensions},
                       {ranking.by_kl ? "kl" : "variance", values}});
  }
  for (std::size_t k = 0; k < values.size(); ++k)
    fmt::print("line {:>3}: latent dimension {:>3}, {} {:.3f}{}\n", k + 1, ranking.dimensions[k],
               ranking.by_kl ? "KL" : "variance of the code", values[k], ranking.by_kl ? " nats" : "");
  fmt::print("datum {}, z from -{} to {} in {} steps, in {}\n", flags.row, flags.reach, flags.reach,
             flags.steps, flags.out.string());
}

void run_traverse(const TraverseFlags& flags) {
  check_steps(flags.steps);
  FELBO_CHECK(flags.reach > 0.0 && flags.reach <= 1e6, "--range must be above 0 and at most 1e6, got {}",
              flags.reach);
  RunOnData r = load_run_on_data(flags);
  check_one_layer(r.run, "traverse");
  const DataPart& part = r.part();
  const VaeConfig& shape = r.run.vae.config();
  check_picture(r.run.config, {flags.out, part.shape});
  check_row(flags.row, r.named_part(), "--row");
  FELBO_CHECK(flags.dimensions >= 0 && flags.dimensions <= shape.latent,
              "--dimensions must be between 1 and the model's {} latent ones (0: all), got {}", shape.latent,
              flags.dimensions);
  const std::int64_t lines = flags.dimensions == 0 ? shape.latent : flags.dimensions;
  check_fits_memory("--steps", lines * flags.steps, part.cols);
  Ranking ranking;
  std::vector<float> datum;
  const std::vector<float> along = with_model(flags, r.run, [&](const auto& model) {
    const Encoded encoded = model.encode(part, part.rows, false);
    datum = model.encode(part, flags.row + 1, true).x;
    ranking = rank(encoded, shape, lines);
    std::vector<float> codes;
    for (const std::int64_t d : ranking.dimensions)
      std::ranges::copy(
          traversal(row_of(encoded.code(), flags.row, shape.latent), d, flags.reach, flags.steps),
          std::back_inserter(codes));
    return model.decode(codes);
  });
  write_traversals({flags.out, part.shape}, along, row_of(datum, flags.row, part.cols), lines, flags.steps,
                   part.cols);
  report(flags, ranking);
}

}  // namespace

void add_interpolate_command(CLI::App& app) {
  auto flags = std::make_shared<InterpolateFlags>();
  CLI::App* command = add_apply_command(
      app, "interpolate",
      "E[x|z] along paths between the codes (posterior means) of pairs of data: (pairs, steps, X), or a "
      "picture with a line a pair, a datum at each end",
      flags, run_interpolate);
  add_picture_out_option(*command, *flags);
  CLI::Option* count =
      command->add_option("--count", flags->count, "Pairs: rows 0 and 1, 2 and 3, ... of the data")
          ->capture_default_str();
  command->add_option("--rows", flags->rows, "Rows to pair in place of the first, as in 0,1,5,9")
      ->delimiter(',')
      ->excludes(count);
  command->add_option("--steps", flags->steps, "Codes of a path, its ends included")->capture_default_str();
  command->add_option("--path", flags->path, "linear, or spherical: along the great circle")
      ->capture_default_str();
  add_data_options(*command, *flags);
}

void add_traverse_command(CLI::App& app) {
  auto flags = std::make_shared<TraverseFlags>();
  CLI::App* command = add_apply_command(
      app, "traverse",
      "E[x|z] as one latent dimension after another goes through its range, the others as the code of a "
      "datum has them: (dimensions, steps, X), or a picture with a line a dimension, largest KL first",
      flags, run_traverse);
  add_picture_out_option(*command, *flags);
  command->add_option("--row", flags->row, "The datum")->capture_default_str();
  command->add_option("--dimensions", flags->dimensions, "How many, by their KL over the data; 0 for all")
      ->capture_default_str();
  command->add_option("--steps", flags->steps, "Values of a dimension")->capture_default_str();
  command->add_option("--range", flags->reach, "From -R to R, in units of z")->capture_default_str();
  add_data_options(*command, *flags);
}

}  // namespace felbo
