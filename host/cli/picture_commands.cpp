// reconstruct, encode: what a trained model makes of data.
#include "host/cli/applied_run.h"
#include "host/report/npy_writer.h"

namespace felbo {
namespace {

struct PictureFlags : ApplyFlags {
  std::int64_t count = 0;
};

void done(const ApplyFlags& flags, std::int64_t count) {
  if (flags.common.json) {
    print_json({{"out", flags.out.string()}, {"count", count}});
  } else {
    fmt::print("{} rows in {}\n", count, flags.out.string());
  }
}

void run_reconstruct(const PictureFlags& flags) {
  RunOnData r = load_run_on_data(flags);
  const DataPart& part = r.part();
  check_picture(r.run.config, {flags.out, part.shape});
  const auto [originals, rows] = with_model(flags, r.run, [&](const auto& model) {
    Encoded encoded = model.encode(part, flags.count, true);
    return std::pair(std::move(encoded.x), model.decode(encoded.code()));
  });
  write_rows({flags.out, part.shape}, rows, originals, part.cols);
  done(flags, flags.count);
}

void run_encode(const ApplyFlags& flags) {
  FELBO_CHECK(flags.out.extension() == ".npy", "--out {}: the name must end in .npy", flags.out.string());
  RunOnData r = load_run_on_data(flags);
  const DataPart& part = r.part();
  FELBO_CHECK(
      r.run.vae.config().posterior.family != PosteriorFamily::kPlanarFlow,
      "encode writes the mean and log-variance of q(z|x), which of --posterior planar-flow are not known");
  const Encoded encoded =
      with_model(flags, r.run, [&](const auto& model) { return model.encode(part, part.rows, false); });
  std::vector<float> both = encoded.mu;
  const std::vector<float> log_var = marginal_log_vars(r.run.vae.config(), encoded);
  both.insert(both.end(), log_var.begin(), log_var.end());
  write_npy(flags.out, both, {2, encoded.count, r.run.vae.config().latent});
  done(flags, encoded.count);
}

}  // namespace

void add_reconstruct_command(CLI::App& app) {
  auto flags = std::make_shared<PictureFlags>();
  CLI::App* command = add_apply_command(
      app, "reconstruct",
      "Data above E[x|z] at the code of each (the posterior mean of z): a picture, or (2, count, X)", flags,
      run_reconstruct);
  add_picture_out_option(*command, *flags);
  command->add_option("--count", flags->count, "How many: the first rows of the data")->required();
  add_data_options(*command, *flags);
}

void add_encode_command(CLI::App& app) {
  auto flags = std::make_shared<ApplyFlags>();
  CLI::App* command = add_apply_command(
      app, "encode",
      "Mean and log-variance of each dimension of q(z|x) for every datum: .npy of shape (2, N, Z)", flags,
      run_encode);
  command->add_option("--out", flags->out, "File to write: .npy")->required();
  add_data_options(*command, *flags);
}

}  // namespace felbo
