#include "host/cli/applied_run.h"

namespace felbo {

RunOnData load_run_on_data(const ApplyFlags& flags, const std::string& split) {
  RunOnData r{load_run(flags.run), {{}, flags.split.empty() ? split : flags.split}};
  r.chosen.data = load_run_data(flags.data.empty() ? r.run.config.data : flags.data, r.run.config);
  r.part();  // that there is one
  check_width(r.chosen.data, r.run.vae);
  warn_of_domain(r.run.config, r.chosen.data);
  return r;
}

void check_fits_memory(const char* flag, std::int64_t count, std::int64_t cols) {
  const double needed = 8.0 * static_cast<double>(count) * static_cast<double>(cols);
  FELBO_CHECK(needed < physical_memory(),
              "{} {}: {} columns a row need about {:.1f} GiB, this machine has {:.1f} GiB", flag, count, cols,
              needed / (1 << 30), physical_memory() / (1 << 30));
}

void check_picture(const RunConfig& config, const PictureOutput& output) {
  check_picture_output(output);
  const Observations x = Likelihood{.family = likelihood_family_from_name(config.likelihood)}.observations();
  FELBO_CHECK(output.out.extension() != ".png" || x != Observations::kCounts,
              "--out {}: {} observes counts, which have no grey level; use a name that ends in .npy",
              output.out.string(), config.likelihood);
}

std::vector<float> rows_of(const DataPart& part, const std::vector<std::int64_t>& rows) {
  std::vector<float> values;
  for (const std::int64_t row : rows) {
    const auto first = static_cast<std::size_t>(row * part.cols), cols = static_cast<std::size_t>(part.cols);
    for (std::size_t j = first; j < first + cols; ++j) {
      values.push_back(part.is_bytes() ? static_cast<float>(part.bytes[j]) / part.divisor : part.floats[j]);
    }
  }
  return values;
}

void add_picture_out_option(CLI::App& command, ApplyFlags& flags) {
  command.add_option("--out", flags.out, "File to write: .png or .npy")->required();
}

void add_data_options(CLI::App& command, ApplyFlags& flags) {
  command.add_option("--data", flags.data, "Data set; the run's own if not given");
  command.add_option("--split", flags.split,
                     "train, valid or test; test, else valid, else train if not given");
  add_data_on_option(command, flags.common);
}

}  // namespace felbo
