#include "host/evaluate/annealed.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/common/normal.h"

namespace felbo {
namespace {

// The pilots' rule. 0.65 is the acceptance that costs least for long trajectories (Neal 2011, section 5.4.4).
constexpr double kTargetAcceptance = 0.65;
constexpr double kAdaptRate = 0.1;
constexpr double kFirstStep = 0.5, kLeastStep = 1e-5, kMostStep = 2.0;
constexpr double kLeastFactor = 0.8, kFactorRange = 0.4;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// The logistic function of t, -4 for t = 0 and 4 for t = T.
double logistic(double t, double T) { return 1.0 / (1.0 + std::exp(-4.0 * (2.0 * t / T - 1.0))); }

/// q0(z) of the data of a tile: a Gaussian each, or the prior.
class StartDensity {
 public:
  StartDensity(const LatentPrior& prior, const LatentGaussians& start)
      : prior_(prior), start_(start), sigma_(start.log_var.size()) {
    for (std::size_t i = 0; i < sigma_.size(); ++i)
      sigma_[i] = std::exp(0.5 * static_cast<double>(start.log_var[i]));
  }

  bool is_prior() const { return sigma_.empty(); }
  /// The unit of z_d: the standard deviation under q0.
  double unit(std::int64_t b, std::int64_t d) const {
    return is_prior() ? prior_.deviation(d) : sigma_[index(b, d)];
  }

  double log_density(std::int64_t b, const double* z) const {
    if (is_prior()) return prior_.log_density(z);
    double sum = 0.0;
    for (std::int64_t d = 0; d < prior_.latent(); ++d) {
      const double e = standard(b, d, z);
      sum += e * e + std::log(2.0 * std::numbers::pi) + static_cast<double>(start_.log_var[index(b, d)]);
    }
    return -0.5 * sum;
  }
  void gradient(std::int64_t b, const double* z, double* gradient) const {
    if (is_prior()) return prior_.gradient(z, gradient);
    for (std::int64_t d = 0; d < prior_.latent(); ++d) gradient[d] = -standard(b, d, z) / sigma_[index(b, d)];
  }
  void from_normals(std::int64_t b, double uniform, double* z) const {
    if (is_prior()) return prior_.from_normals(uniform, z);
    for (std::int64_t d = 0; d < prior_.latent(); ++d)
      z[d] = static_cast<double>(start_.mu[index(b, d)]) + sigma_[index(b, d)] * z[d];
  }

 private:
  std::size_t index(std::int64_t b, std::int64_t d) const { return at(b * prior_.latent() + d); }
  double standard(std::int64_t b, std::int64_t d, const double* z) const {
    return (z[d] - static_cast<double>(start_.mu[index(b, d)])) / sigma_[index(b, d)];
  }

  const LatentPrior& prior_;
  const LatentGaussians& start_;
  std::vector<double> sigma_;  // (B, Z)
};

/// Where chains stand, and what the densities are there: (R) and (R, Z).
struct Points {
  Points(std::int64_t rows, std::int64_t latent)
      : z(at(rows * latent)),
        log_start(at(rows)),
        log_ratio(at(rows)),
        grad_start(at(rows * latent)),
        grad_ratio(at(rows * latent)) {}

  std::vector<double> z;
  std::vector<double> log_start;               // log q0(z)
  std::vector<double> log_ratio;               // log p(z) p(x|z) / q0(z)
  std::vector<double> grad_start, grad_ratio;  // by z

  double log_density(std::int64_t r, double beta) const { return log_start[at(r)] + beta * log_ratio[at(r)]; }
};

/// Hamiltonian Monte Carlo on `chains` chains of each of B data. Row b * chains + c.
class Chains {
 public:
  Chains(const AnnealedOptions& options, const LatentPrior& prior, const AnnealedTile& tile,
         const StartDensity& start, std::int64_t chains, Purpose purpose, const LatentDecoder& decode)
      : options_(options),
        prior_(prior),
        tile_(tile),
        start_(start),
        chains_(chains),
        rows_(tile.data * chains),
        latent_(prior.latent()),
        purpose_(purpose),
        decode_(decode),
        now_(rows_, latent_),
        next_(rows_, latent_),
        momentum_(now_.z.size()),
        step_(at(rows_)),
        energy_(at(rows_)),
        acceptance_(at(rows_)),
        placed_(now_.z.size()) {}

  /// z ~ q0 in every chain.
  void draw_start() {
    for (std::int64_t r = 0; r < rows_; ++r) {
      normals(0, r, &now_.z[at(r * latent_)]);
      start_.from_normals(r / chains_, uniform(0, r, 2), &now_.z[at(r * latent_)]);
    }
    measure(now_);
  }
  /// All chains of a datum at its row of z (B, Z).
  void place(std::span<const float> z) {
    for (std::int64_t r = 0; r < rows_; ++r)
      for (std::int64_t d = 0; d < latent_; ++d)
        now_.z[at(r * latent_ + d)] = static_cast<double>(z[at(r / chains_ * latent_ + d)]);
    measure(now_);
  }

  /// One trajectory of each chain that leaves pi_t, of inverse temperature beta, as it is. log_step (B).
  void move(std::int64_t t, double beta, std::span<const double> log_step) {
    begin(t, beta, log_step);
    for (int l = 1; l <= options_.leapfrog; ++l) {
      drift();
      measure(next_);
      kick(beta, l == options_.leapfrog ? 0.5 : 1.0);
    }
    accept(t, beta);
  }

  double log_ratio(std::int64_t row) const { return now_.log_ratio[at(row)]; }
  /// The probability that the last trajectory had of being accepted.
  double acceptance(std::int64_t row) const { return acceptance_[at(row)]; }

 private:
  NoiseStream noise(std::int64_t t) const { return {options_.seed, static_cast<std::uint32_t>(t), purpose_}; }
  Words4 words(std::int64_t t, std::int64_t r, std::int64_t block) const {
    return noise(t).words(static_cast<std::uint32_t>(tile_.first_datum + r / chains_),
                          static_cast<std::uint32_t>(r % chains_), static_cast<std::uint32_t>(block));
  }
  /// Z standard normals of the row at temperature t: elements 0 ... Z - 1 of its noise.
  void normals(std::int64_t t, std::int64_t r, double* out) const {
    for (std::int64_t block = 0; 4 * block < latent_; ++block) {
      const Normals4 four = normals_from_words(words(t, r, block));
      for (std::int64_t i = 0; i < std::min<std::int64_t>(4, latent_ - 4 * block); ++i)
        out[4 * block + i] = static_cast<double>(four[static_cast<int>(i)]);
    }
  }
  /// The uniforms of the row at temperature t behind its normals: 0 of the step's factor, 1 of the choice, 2
  /// of the prior's component that it starts in.
  double uniform(std::int64_t t, std::int64_t r, int which) const {
    return static_cast<double>(uniform_from_word(words(t, r, (latent_ + 3) / 4)[which]));
  }

  /// The densities at points.z.
  void measure(Points& points) {
    std::ranges::transform(points.z, placed_.begin(), [](double z) { return static_cast<float>(z); });
    decode_(placed_, decoded_);
    for (std::int64_t r = 0; r < rows_; ++r) {
      const std::int64_t b = r / chains_;
      const double* z = &points.z[at(r * latent_)];
      double* grad_start = &points.grad_start[at(r * latent_)];
      double* grad_ratio = &points.grad_ratio[at(r * latent_)];
      points.log_start[at(r)] = start_.log_density(b, z);
      points.log_ratio[at(r)] = static_cast<double>(decoded_.log_px_given_z[at(r)]) +
                                (prior_.log_density(z) - points.log_start[at(r)]);
      start_.gradient(b, z, grad_start);
      prior_.gradient(z, grad_ratio);
      for (std::int64_t d = 0; d < latent_; ++d)
        grad_ratio[d] += static_cast<double>(decoded_.grad_z[at(r * latent_ + d)]) - grad_start[d];
    }
  }

  double kinetic(std::int64_t r) const {
    double square = 0.0;
    for (std::int64_t d = 0; d < latent_; ++d) {
      const double p = momentum_[at(r * latent_ + d)];
      square += p * p;
    }
    return 0.5 * square;
  }

  void begin(std::int64_t t, double beta, std::span<const double> log_step) {
    next_ = now_;
    for (std::int64_t r = 0; r < rows_; ++r) {
      normals(t, r, &momentum_[at(r * latent_)]);
      step_[at(r)] = std::exp(log_step[at(r / chains_)]) * (kLeastFactor + kFactorRange * uniform(t, r, 0));
      energy_[at(r)] = kinetic(r) - now_.log_density(r, beta);
    }
    kick(beta, 0.5);
  }
  /// Momenta, which are in units of 1 / unit(b, d), by `share` of a step.
  void kick(double beta, double share) {
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t d = 0; d < latent_; ++d) {
        const std::size_t i = at(r * latent_ + d);
        momentum_[i] += share * step_[at(r)] * start_.unit(r / chains_, d) *
                        (next_.grad_start[i] + beta * next_.grad_ratio[i]);
      }
    }
  }
  void drift() {
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t d = 0; d < latent_; ++d) {
        const std::size_t i = at(r * latent_ + d);
        next_.z[i] += step_[at(r)] * start_.unit(r / chains_, d) * momentum_[i];
      }
    }
  }
  /// By Metropolis' rule. A trajectory that ends in a NaN is not taken.
  void accept(std::int64_t t, double beta) {
    for (std::int64_t r = 0; r < rows_; ++r) {
      const double gain = next_.log_density(r, beta) - kinetic(r) + energy_[at(r)];
      acceptance_[at(r)] = std::isnan(gain) ? 0.0 : std::exp(std::min(0.0, gain));
      if (uniform(t, r, 1) < acceptance_[at(r)]) take(r);
    }
  }
  void take(std::int64_t r) {
    const auto row = [&](const std::vector<double>& from, std::vector<double>& to) {
      std::copy_n(from.begin() + r * latent_, latent_, to.begin() + r * latent_);
    };
    row(next_.z, now_.z);
    row(next_.grad_start, now_.grad_start);
    row(next_.grad_ratio, now_.grad_ratio);
    now_.log_start[at(r)] = next_.log_start[at(r)];
    now_.log_ratio[at(r)] = next_.log_ratio[at(r)];
  }

  const AnnealedOptions& options_;
  const LatentPrior& prior_;
  const AnnealedTile& tile_;
  const StartDensity& start_;
  std::int64_t chains_, rows_, latent_;
  Purpose purpose_;
  const LatentDecoder& decode_;
  Points now_, next_;
  std::vector<double> momentum_;                    // (R, Z)
  std::vector<double> step_, energy_, acceptance_;  // (R)
  std::vector<float> placed_;                       // (R, Z) z as the decoder reads it
  DecodedLatents decoded_;
};

/// One tile: forwards with the pilots, who leave their steps behind, and back.
class TileAnnealer {
 public:
  TileAnnealer(const AnnealedOptions& options, const LatentPrior& prior, const AnnealedTile& tile,
               const LatentDecoder& decode, const ShareDone& tell)
      : options_(options),
        prior_(prior),
        tile_(tile),
        decode_(decode),
        tell_(tell),
        start_(prior, tile.start),
        beta_(sigmoid_schedule(options.temperatures)),
        log_step_(at(options.temperatures * tile.data), std::log(kFirstStep)) {}

  AnnealedWeights operator()() {
    forward();
    if (!tile_.exact.empty()) backward();
    return std::move(result_);
  }

 private:
  void forward() {
    const std::int64_t all = options_.chains + kPilots;
    Chains chains(options_, prior_, tile_, start_, all, Purpose::kAnneal, decode_);
    result_.forward.assign(at(tile_.data * options_.chains), 0.0);
    chains.draw_start();
    for (std::int64_t t = 1; t <= options_.temperatures; ++t) {
      add(chains, all, t, result_.forward);
      if (t == options_.temperatures) break;
      chains.move(t, beta_[at(t)], steps(t));
      lead(chains, t);
      count(chains);
      told(t);
    }
  }

  void backward() {
    const std::int64_t C = options_.chains;
    Chains chains(options_, prior_, tile_, start_, C, Purpose::kAnnealBack, decode_);
    result_.backward.assign(at(tile_.data * C), 0.0);
    chains.place(tile_.exact);
    for (std::int64_t t = options_.temperatures; t >= 1; --t) {
      add(chains, C, t, result_.backward);
      if (t == 1) break;
      chains.move(t - 1, beta_[at(t - 1)], steps(t - 1));
      told(2 * options_.temperatures - t);
    }
  }

  /// Step t's part of the weights.
  void add(const Chains& chains, std::int64_t a_datum, std::int64_t t, std::vector<double>& log_w) const {
    const double by = beta_[at(t)] - beta_[at(t - 1)];
    for (std::int64_t b = 0; b < tile_.data; ++b)
      for (std::int64_t c = 0; c < options_.chains; ++c)
        log_w[at(b * options_.chains + c)] += by * chains.log_ratio(b * a_datum + c);
  }

  /// The logarithms of the data's steps at temperature t, (B).
  std::span<double> steps(std::int64_t t) { return {&log_step_[at(t * tile_.data)], at(tile_.data)}; }
  /// The next temperature's steps, by what the pilots met at this one.
  void lead(const Chains& chains, std::int64_t t) {
    if (t + 1 == options_.temperatures) return;
    for (std::int64_t b = 0; b < tile_.data; ++b) {
      double accepted = 0.0;
      for (std::int64_t p = 0; p < kPilots; ++p)
        accepted += chains.acceptance(b * (options_.chains + kPilots) + options_.chains + p) /
                    static_cast<double>(kPilots);
      steps(t + 1)[at(b)] = std::clamp(steps(t)[at(b)] + kAdaptRate * (accepted - kTargetAcceptance),
                                       std::log(kLeastStep), std::log(kMostStep));
    }
  }
  void count(const Chains& chains) {
    for (std::int64_t b = 0; b < tile_.data; ++b)
      for (std::int64_t c = 0; c < options_.chains; ++c)
        result_.accepted +=
            chains.acceptance(b * (options_.chains + kPilots) + c) / static_cast<double>(options_.chains);
  }
  void told(std::int64_t moves) const {
    const std::int64_t ways = tile_.exact.empty() ? 1 : 2;
    if (tell_) tell_(static_cast<double>(moves) / static_cast<double>(ways * options_.temperatures));
  }

  const AnnealedOptions& options_;
  const LatentPrior& prior_;
  const AnnealedTile& tile_;
  const LatentDecoder& decode_;
  const ShareDone& tell_;
  StartDensity start_;
  std::vector<double> beta_;      // (T + 1)
  std::vector<double> log_step_;  // (T, B), of temperature 0 none is used
  AnnealedWeights result_;
};

}  // namespace

void AnnealedOptions::check() const {
  FELBO_CHECK(temperatures >= 1 && temperatures <= kMostTemperatures,
              "annealing takes 1 to {} temperatures, got {}", kMostTemperatures, temperatures);
  FELBO_CHECK(chains >= 1 && chains <= kMostChains, "annealing takes 1 to {} chains a datum, got {}",
              kMostChains, chains);
  FELBO_CHECK(leapfrog >= 1 && leapfrog <= kMostLeapfrog, "annealing takes 1 to {} leapfrog steps, got {}",
              kMostLeapfrog, leapfrog);
}

std::vector<double> sigmoid_schedule(std::int64_t temperatures) {
  const auto T = static_cast<double>(temperatures);
  const double first = logistic(0.0, T), range = logistic(T, T) - first;
  std::vector<double> beta;
  for (std::int64_t t = 0; t <= temperatures; ++t)
    beta.push_back((logistic(static_cast<double>(t), T) - first) / range);
  beta.back() = 1.0;
  return beta;
}

AnnealedWeights anneal_tile(const AnnealedOptions& options, const LatentPrior& prior,
                            const AnnealedTile& tile, const LatentDecoder& decode, const ShareDone& tell) {
  return TileAnnealer(options, prior, tile, decode, tell)();
}

void AnnealedSums::add(const AnnealedWeights& weights) {
  const std::int64_t data = static_cast<std::int64_t>(weights.forward.size()) / chains_;
  const auto log_mean = [&](const std::vector<double>& log_w, std::int64_t b, double sign) {
    const auto first = log_w.begin() + b * chains_;
    double largest = -std::numeric_limits<double>::infinity(), sum = 0.0;
    for (std::int64_t c = 0; c < chains_; ++c) largest = std::max(largest, sign * first[c]);
    for (std::int64_t c = 0; c < chains_; ++c) sum += std::exp(sign * first[c] - largest);
    return log_mean_exp_value(largest, sum, chains_);
  };
  for (std::int64_t b = 0; b < data; ++b) {
    WeightTail tail(chains_);
    for (std::int64_t c = 0; c < chains_; ++c) tail.add(weights.forward[at(b * chains_ + c)]);
    result_.weights_of_datum.push_back(tail.diagnose());
    result_.log_px_of_datum.push_back(log_mean(weights.forward, b, 1.0));
    if (!weights.backward.empty()) result_.upper_of_datum.push_back(-log_mean(weights.backward, b, -1.0));
  }
  accepted_ += weights.accepted;
  result_.count += data;
}

AnnealedEvaluation AnnealedSums::finish(std::int64_t transitions) {
  result_.log_px = estimate(result_.log_px_of_datum);
  result_.acceptance = accepted_ / static_cast<double>(transitions * result_.count);
  if (!result_.upper_of_datum.empty()) {
    std::vector<double> differences = result_.upper_of_datum;
    for (std::size_t n = 0; n < differences.size(); ++n) differences[n] -= result_.log_px_of_datum[n];
    result_.upper = estimate(result_.upper_of_datum);
    result_.sandwich = estimate(differences);
  }
  return std::move(result_);
}

namespace detail {

std::int64_t annealed_tile(const VaeConfig& config, std::int64_t rows, std::int64_t chains) {
  const std::int64_t at_once = evaluation_tile(config, std::int64_t{1} << 30, 1).data;
  return std::clamp<std::int64_t>(at_once / (chains + kPilots), 1, rows);
}

std::vector<float> rows_of(const std::vector<float>& all, std::int64_t first, std::int64_t count,
                           std::int64_t cols) {
  if (all.empty()) return {};
  return {all.begin() + first * cols, all.begin() + (first + count) * cols};
}

}  // namespace detail
}  // namespace felbo
