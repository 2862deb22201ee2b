#include "host/cli/common.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <utility>

#include "host/report/npy_writer.h"
#include "host/report/png_writer.h"
#include "host/run/run_options.h"

namespace felbo {

void add_common_options(CLI::App& command, CommonFlags& flags) {
  command.add_option("--seed", flags.seed, "Seed of the noise; the run's own if not given")
      ->check(check_seed, "", "seed");
  command.add_option("--threads", flags.device.threads, "CPU threads, 0 for all cores")
      ->capture_default_str();
  command.add_option("--device", flags.device.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  command.add_flag("--json", flags.json, "Print one JSON object as the last line of standard output");
}

void add_data_on_option(CLI::App& command, CommonFlags& flags) {
  command.add_option("--data-on", flags.device.data_on, kDataOnHelp)->capture_default_str();
}

void flush_output() {
  std::cout.flush();
  if (!std::cout || std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw std::runtime_error("cannot write to standard output (a full disk or a closed pipe?)");
  }
}

void print_json(const nlohmann::ordered_json& json, int indent) {
  std::cout << json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  flush_output();
}

NamedPart held_out_part(const DataSet& data) {
  if (data.valid) return {"valid", &*data.valid};
  if (data.test) return {"test", &*data.test};
  return {"train", &data.train};
}

NamedPart part_by_name(const DataSet& data, const std::string& split) {
  if (split == "train") return {split, &data.train};
  if (data.test && (split == "test" || split.empty())) return {"test", &*data.test};
  if (data.valid && (split == "valid" || split.empty())) return {"valid", &*data.valid};
  FELBO_CHECK(split.empty(), "--split {}: {} has {}", split, data.spec,
              data.test || data.valid ? (data.test && data.valid ? "train, valid and test"
                                         : data.test             ? "train and test"
                                                                 : "train and valid")
                                      : "train only");
  return {"train", &data.train};
}

DataSet load_run_data(const std::string& spec, const RunConfig& config, bool fraction_given) {
  FELBO_CHECK(!spec.empty(),
              "--data SPEC is missing: a folder, a file, builtin:glyphs or builtin:linear-gaussian");
  DataSet data = load_data(spec);
  FELBO_CHECK(!fraction_given || !(data.valid || data.test),
              "--valid-fraction {}: {} has a {} part of its own; --valid-fraction is for sets without one",
              config.valid_fraction, spec, data.valid ? "valid" : "test");
  scale_data(config, data);
  return hold_out(std::move(data), config.valid_fraction);
}

void check_width(const DataSet& data, const Vae& vae) {
  FELBO_CHECK(data.train.cols == vae.config().dimensions,
              "{}: the data have {} columns, the run's model was made for {}; name the data that it was "
              "trained on, or others of that width",
              data.spec, data.train.cols, vae.config().dimensions);
}

void check_one_layer(const LoadedRun& run, const std::string& what) {
  FELBO_CHECK(run.vae.above().empty(),
              "{} is for runs of one stochastic layer, this one has --latent {}; evaluate, score, encode, "
              "reconstruct and sample --from prior or posterior take several",
              what, run.config.latent);
}

void warn_of_domain(const RunConfig& config, const DataSet& data) {
  const std::string warning = check_domain(config, data);
  if (!warning.empty()) spdlog::warn(warning);
}

std::optional<ExactGap> exact_gap(const DataPart& part, const Evaluation& evaluation) {
  if (part.exact_log_px.empty()) return std::nullopt;
  std::vector<double> gaps = part.exact_log_px;
  for (std::size_t i = 0; i < gaps.size(); ++i) gaps[i] -= evaluation.elbo_of_datum[i];
  return ExactGap{estimate(part.exact_log_px), estimate(gaps)};
}

nlohmann::ordered_json json_number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

void add_exact(nlohmann::ordered_json& json, const std::optional<ExactGap>& exact) {
  if (!exact) return;
  json["exact_log_px"] = json_number(exact->exact_log_px.mean);
  json["exact_log_px_stderr"] = json_number(exact->exact_log_px.standard_error);
  json["gap"] = json_number(exact->gap.mean);
  json["gap_stderr"] = json_number(exact->gap.standard_error);
}

std::string describe(const Evaluation& e, const std::string& part, const std::optional<ExactGap>& exact) {
  std::string text = fmt::format(
      "{} {} data, {} sample{} of z each; nats a datum, summed over dimensions, +- standard error\n", e.count,
      part, e.samples, e.samples == 1 ? "" : "s");
  const auto line = [&](const char* name, const Estimate& value, const char* note) {
    text += fmt::format("  {:<16}{:12.4f} +- {:.4f}  {}\n", name, value.mean, value.standard_error, note);
  };
  if (exact) line("exact log p(x)", exact->exact_log_px, "of the distribution that the data were drawn from");
  if (e.samples > 1) line("log p(x) >=", e.log_px, "importance-weighted bound");
  line("ELBO", e.elbo, "= log p(x|z) - KL");
  line("log p(x|z)", e.log_px_given_z, "E_q");
  line("KL", e.kl, "q(z|x) from p(z)");
  if (exact) line("gap", exact->gap, "exact log p(x) - ELBO");
  if (e.clamped > 0) text += fmt::format("  {} log-variances were clamped (--log-var-clamp)\n", e.clamped);
  return text;
}

void check_picture_output(const PictureOutput& output) {
  const std::string ending = output.out.extension().string();
  FELBO_CHECK(ending == ".png" || ending == ".npy",
              "--out {}: the name must end in .png (a picture) or .npy (an array)", output.out.string());
  FELBO_CHECK(ending == ".npy" || output.shape.height > 0,
              "--out {}: the model's data are not pictures; use a name that ends in .npy",
              output.out.string());
}

void write_rows(const PictureOutput& output, const std::vector<float>& rows,
                const std::vector<float>& originals, std::int64_t cols) {
  const auto count = static_cast<std::int64_t>(rows.size()) / cols;
  const View<const float, 2> images{rows.data(), count, cols}, above{originals.data(), count, cols};
  const auto [height, width] = output.shape;
  if (output.out.extension() == ".png") {
    return write_png_grid(output.out, originals.empty() ? make_grid(images, height, width)
                                                        : make_paired_grid(above, images, height, width));
  }
  if (originals.empty()) return write_npy(output.out, rows, {count, cols});
  std::vector<float> both = originals;
  both.insert(both.end(), rows.begin(), rows.end());
  write_npy(output.out, both, {2, count, cols});
}

void check_can_write(const std::filesystem::path& out) {
  const std::filesystem::path folder = out.parent_path();
  FELBO_CHECK(folder.empty() || std::filesystem::is_directory(folder),
              "cannot write '{}': there is no folder '{}'; create it or name another", out.string(),
              folder.string());
  FELBO_CHECK(!std::filesystem::is_directory(out), "cannot write '{}': it is a folder", out.string());
}

}  // namespace felbo
