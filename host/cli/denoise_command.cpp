// denoise: noise put on data, and what the model's reconstruction takes off again.
#include <algorithm>
#include <numeric>

#include "host/cli/applied_run.h"
#include "host/evaluate/corruption.h"
#include "host/report/npy_writer.h"
#include "host/report/png_writer.h"

namespace felbo {
namespace {

struct DenoiseFlags : ApplyFlags {
  std::string noise;
  std::int64_t count = 10;
};

/// (N, X) each.
struct Denoised {
  std::vector<float> clean, noisy, denoised, reconstructed;
};

struct Figures {
  double peak = 1.0;
  double noisy = 0.0, denoised = 0.0, reconstructed = 0.0;  // PSNR against the clean data, decibels
  std::int64_t improved = 0;                                // data that came nearer to the clean ones
};

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

bool in_unit_interval(const DataPart& part) {
  const DataSummary summary = summarize(part);
  return summary.min >= 0.0f && summary.max <= 1.0f;
}

/// What a PSNR is relative to: 1 for intensities, else the distance from the least value to the largest.
double peak_of(const DataPart& part) {
  if (in_unit_interval(part)) return 1.0;
  const DataSummary summary = summarize(part);
  return static_cast<double>(summary.max) - static_cast<double>(summary.min);
}

Figures figures_of(const Denoised& d, const DataPart& part) {
  const auto errors = [&](const std::vector<float>& x) {
    return mean_squared_errors({x.data(), part.rows, part.cols}, {d.clean.data(), part.rows, part.cols});
  };
  const std::vector<double> noisy = errors(d.noisy), denoised = errors(d.denoised);
  Figures f{.peak = peak_of(part)};
  f.noisy = psnr(mean_of(noisy), f.peak);
  f.denoised = psnr(mean_of(denoised), f.peak);
  f.reconstructed = psnr(mean_of(errors(d.reconstructed)), f.peak);
  for (std::size_t n = 0; n < noisy.size(); ++n) f.improved += denoised[n] < noisy[n] ? 1 : 0;
  return f;
}

/// The noise is put on what the model would see (binarised, where the run is), and nothing is binarised
/// after.
template <class M>
Denoised denoise(const M& model, const DataPart& part, const Corruption& corruption) {
  Denoised d;
  Encoded clean = model.encode(part, part.rows, true);
  d.clean = std::move(clean.x);
  d.reconstructed = model.decode(clean.code());
  d.noisy = corrupt(corruption, {d.clean.data(), part.rows, part.cols}, in_unit_interval(part), model.seed);
  DataPart noisy;
  noisy.rows = part.rows, noisy.cols = part.cols, noisy.shape = part.shape, noisy.floats = d.noisy;
  d.denoised = model.decode(model.encode(noisy, part.rows, false, Binarize::kNone).code());
  return d;
}

void write(const PictureOutput& out, const Denoised& d, std::int64_t count, std::int64_t X) {
  if (out.out.extension() == ".png") {
    const auto layer = [&](const std::vector<float>& x) { return View<const float, 2>{x.data(), count, X}; };
    return write_png_grid(out.out, make_layered_grid({layer(d.clean), layer(d.noisy), layer(d.denoised)},
                                                     out.shape.height, out.shape.width));
  }
  std::vector<float> rows;
  for (const std::vector<float>* x : {&d.clean, &d.noisy, &d.denoised})
    rows.insert(rows.end(), x->begin(), x->begin() + count * X);
  write_npy(out.out, rows, {3, count, X});
}

void report(const DenoiseFlags& flags, const NamedPart& part, const Figures& f) {
  if (flags.common.json) {
    return print_json({{"out", flags.out.string()},
                       {"noise", flags.noise},
                       {"split", part.name},
                       {"count", part.part->rows},
                       {"peak", f.peak},
                       {"psnr_noisy", json_number(f.noisy)},
                       {"psnr_denoised", json_number(f.denoised)},
                       {"psnr_reconstructed", json_number(f.reconstructed)},
                       {"improved", f.improved}});
  }
  fmt::print(
      "{} {} data with {}; PSNR against the clean data (of the mean squared error, peak {})\n"
      "  noisy                    {:8.2f} dB\n"
      "  denoised                 {:8.2f} dB  {} data came nearer to the clean ones\n"
      "  clean, reconstructed     {:8.2f} dB  what the model makes of data without noise\n"
      "{}the first {} in {}\n",
      part.part->rows, part.name, flags.noise, f.peak, f.noisy, f.denoised, f.improved, f.reconstructed,
      f.denoised > f.noisy ? "" : "  the model takes away more than the noise put on: nothing is gained\n",
      flags.count, flags.out.string());
}

void run_denoise(const DenoiseFlags& flags) {
  const Corruption corruption = corruption_from_name(flags.noise);
  RunOnData r = load_run_on_data(flags);
  check_one_layer(r.run, "denoise");
  const DataPart& part = r.part();
  check_picture(r.run.config, {flags.out, part.shape});
  FELBO_CHECK(r.run.vae.config().likelihood.observations() != Observations::kCounts,
              "{} observes counts: noise of this kind would not leave them counts", r.run.config.likelihood);
  FELBO_CHECK(flags.count >= 1 && flags.count <= part.rows,
              "--count must be between 1 and the {} {} data, got {}", part.rows, r.named_part().name,
              flags.count);
  const Denoised d =
      with_model(flags, r.run, [&](const auto& model) { return denoise(model, part, corruption); });
  const Figures figures = figures_of(d, part);
  write({flags.out, part.shape}, d, flags.count, part.cols);
  report(flags, r.named_part(), figures);
}

}  // namespace

void add_denoise_command(CLI::App& app) {
  auto flags = std::make_shared<DenoiseFlags>();
  CLI::App* command = add_apply_command(
      app, "denoise",
      "Put noise on data and reconstruct them: PSNR over all of the part, and clean above noisy above "
      "denoised of the first as a picture, or (3, count, X)",
      flags, run_denoise);
  add_picture_out_option(*command, *flags);
  command
      ->add_option("--noise", flags->noise,
                   "gaussian:S (standard deviation; the result held to [0, 1] where the data are in it), "
                   "salt-pepper:P (0 or 1 with probability P) or mask:P (0 with probability P)")
      ->required();
  command->add_option("--count", flags->count, "How many to write: the first rows of the data")
      ->capture_default_str();
  add_data_options(*command, *flags);
}

}  // namespace felbo
