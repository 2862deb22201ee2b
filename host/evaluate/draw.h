// x ~ p(x|z): data drawn from a likelihood at the outputs of a decoder, in double on the host.
#pragma once

#include <vector>

#include "kernels/common/noise_stream.h"
#include "kernels/common/view.h"
#include "kernels/likelihood/likelihood.h"

namespace felbo {

/// Whether x can be drawn at all: a multinomial's counts of a row have a sum that the model does not give.
inline bool can_draw(const Likelihood& which) { return which.family != LikelihoodFamily::kMultinomial; }

/// One draw x ~ p(x|z) for each row of the decoder's output, (R, X) row-major. Values are such as
/// which.observations() says: grey levels are level / 255, counts are whole numbers, a Bernoulli gives 0 and
/// 1. Log-variances that are learned or come from the decoder are clamped as likelihood() does.
///
/// Element (i, j) depends on the noise, row number first_row + i, dimension j and its own parameters alone;
/// noise.purpose is Purpose::kObservation unless the same rows are drawn for something else. A parameter that
/// is NaN gives NaN; magnitudes that a float cannot hold (heavy tails) are held to its largest.
///
/// output (R, outputs * X), own (own_parameters). Throws std::invalid_argument if shapes disagree or the row
/// numbers leave 32 bits, or if nothing can be drawn (can_draw()).
std::vector<float> draw_observations(const Likelihood& which, View<const float, 2> output,
                                     View<const float, 1> own, const NoiseStream& noise,
                                     std::uint32_t first_row = 0);

}  // namespace felbo
