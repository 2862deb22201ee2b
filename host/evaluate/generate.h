// What a trained model shows: data from the prior, codes, reconstructions.
#pragma once

#include "host/data/resident_data.h"
#include "host/model/vae.h"

namespace felbo {

/// E[x|z] (N, X) for z (N, Z).
std::vector<float> decode(const CpuExec& exec, const Vae& vae, View<const float, 1> parameters,
                          View<const float, 2> z);

/// `count` draws z ~ p(z), (count, Z); draw i depends on (seed, i) alone.
std::vector<float> draw_prior(const CpuExec& exec, const Vae& vae, std::int64_t count, std::uint64_t seed);

/// q(z|x) of data rows, and the x that the encoder saw (binarised as held-out data are).
struct Encoded {
  std::int64_t count = 0;
  std::vector<float> mu;       // (N, Z)
  std::vector<float> log_var;  // (N, Z), clamped
  std::vector<float> x;        // (N, X); empty unless asked for
};

/// Encodes rows [0, count) of the data. Throws std::invalid_argument if the data's width is not the model's
/// or count is not between 1 and the number of rows.
Encoded encode(const CpuExec& exec, const Vae& vae, View<const float, 1> parameters,
               const ResidentData<CpuExec>& data, std::int64_t count, Binarize binarize, std::uint64_t seed,
               bool keep_x);

/// One draw z ~ q(z|x) for each encoded row, (N, Z): bit for bit the first sample that evaluate() takes with
/// this seed.
std::vector<float> draw_posterior(const CpuExec& exec, const Vae& vae, const Encoded& encoded,
                                  std::uint64_t seed);

}  // namespace felbo
