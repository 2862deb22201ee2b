// How much the gradient estimates of the objectives scatter, on the same model and data.
#pragma once

#include <string>
#include <vector>

namespace felbo::bench {

/// One estimate. Variances are of one draw, summed over the parameters of a part.
struct GradientScatter {
  std::string objective;
  int samples = 1;       // S
  double seconds = 0.0;  // of a step, the gradient read back included
  double encoder_variance = 0.0, decoder_variance = 0.0;
  double encoder_ratio = 0.0;  // encoder_variance over that of the estimate that the bound is named for: elbo
                               // for elbo, elbo-mc and stl, iwae for iwae and dreg
  double encoder_snr = 0.0;    // |mean| / sqrt(variance) of the encoder's gradient, both summed in squares
};

/// 784-200-20 on builtin:glyphs, pixels binarised at 0.5, after three epochs of training by the ELBO: each
/// objective at S = 1, 5 and 50 on a batch of 20 data, over `draws` draws of the noise. Runs on the Exec of
/// this run.
std::vector<GradientScatter> gradient_scatter(int draws);

}  // namespace felbo::bench
