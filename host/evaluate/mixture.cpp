#include "host/evaluate/mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "host/oracle/eigen.h"
#include "kernels/common/check.h"
#include "kernels/noise/noise.h"

namespace felbo {
namespace {

using oracle::Matrix;
using oracle::Vector;

constexpr Eigen::Index kBlock = 512;  // points at a time, so that a block stays in cache
constexpr std::int64_t kGrain = 4096;

/// In (0, 1), for draw or choice `datum` of what `sample` says.
double uniform(std::uint64_t seed, std::uint32_t datum, std::uint32_t sample) {
  const Words4 words = NoiseStream{seed, 0, Purpose::kAggregate}.words(datum, sample, 0);
  const std::uint64_t bits = std::uint64_t{words[0]} << 32 | words[1];
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
}
constexpr std::uint32_t kEps = 0, kWhichComponent = 1, kCentre = 2;  // samples: uses of the purpose

/// The index at which the running sum of `mass` passes a share u of the whole; of entries above 0.
std::size_t choose(const std::vector<double>& mass, double u) {
  const double goal = u * std::accumulate(mass.begin(), mass.end(), 0.0);
  double sum = 0.0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < mass.size(); ++i) {
    if (mass[i] <= 0.0) continue;
    last = i;
    if ((sum += mass[i]) > goal) return i;
  }
  return last;
}

/// One component, ready for densities: with covariance = L L^T, the inverse of a diagonal L, or L itself.
struct Gaussian {
  double weight = 0.0;
  Vector mean;
  Matrix covariance;

  /// log(weight N(point; mean, covariance)) of each column, into `out`.
  void log_density(const Matrix& points, bool diagonal, Eigen::Ref<Eigen::RowVectorXd> out) const {
    const Eigen::LLT<Matrix> factor(diagonal ? Matrix() : covariance);
    const Vector deviations =
        diagonal ? Vector(covariance.diagonal().cwiseSqrt()) : Vector(Matrix(factor.matrixL()).diagonal());
    const double constant = std::log(weight) - deviations.array().log().sum() -
                            0.5 * double(mean.size()) * std::log(2.0 * std::numbers::pi);
    for (Eigen::Index first = 0; first < points.cols(); first += kBlock) {
      const Eigen::Index count = std::min(kBlock, points.cols() - first);
      Matrix standard = points.middleCols(first, count).colwise() - mean;
      if (diagonal) {
        standard.array().colwise() /= deviations.array();
      } else {
        factor.matrixL().solveInPlace(standard);
      }
      out.segment(first, count) = constant - 0.5 * standard.colwise().squaredNorm().array();
    }
  }
};

bool is_diagonal(const Matrix& covariance) {
  return (Matrix(covariance.diagonal().asDiagonal()) - covariance).cwiseAbs().maxCoeff() == 0.0;
}

/// log density of every point under each component, (M, N).
Matrix log_joint(const CpuExec& exec, const std::vector<Gaussian>& components, const Matrix& points,
                 bool diagonal) {
  const auto M = static_cast<std::int64_t>(components.size());
  // Row-major, so that a component writes to one stretch of memory.
  Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> joint(M, points.cols());
  exec.parallel_for(M, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t m = begin; m < end; ++m) {
      components[static_cast<std::size_t>(m)].log_density(points, diagonal, joint.row(m));
    }
  });
  return joint;
}

/// Turns a column of log-joint densities into responsibilities, and gives their log-sum.
double normalize(Eigen::Ref<Vector> column) {
  const double largest = column.maxCoeff();
  column = (column.array() - largest).exp();
  const double sum = column.sum();
  column /= sum;
  return largest + std::log(sum);
}

class Em {
 public:
  Em(const CpuExec& exec, View<const float, 2> points, const MixtureOptions& options)
      : exec_(exec),
        options_(options),
        diagonal_(options.covariance == MixtureCovariance::kDiagonal),
        points_(points.cols, points.rows) {
    for (std::int64_t n = 0; n < points.rows; ++n) {
      for (std::int64_t d = 0; d < points.cols; ++d) points_(d, n) = static_cast<double>(points(n, d));
    }
    const Matrix centred = points_.colwise() - points_.rowwise().mean();
    const double variance = centred.squaredNorm() / double(points_.size());
    FELBO_CHECK(variance > 0.0, "all {} points are the same: there is nothing to fit a mixture to",
                points.rows);
    least_variance_ = kLeastMixtureVariance * variance;
  }

  MixtureFit operator()() {
    begin();
    expect();
    for (int i = 0; i < options_.iterations && !fit_.converged; ++i) {
      const std::size_t before = components_.size();
      maximize();
      expect();
      const std::size_t last = fit_.log_likelihood.size() - 1;
      const double gain = fit_.log_likelihood[last] - fit_.log_likelihood[last - 1];
      fit_.converged = components_.size() == before && gain < options_.tolerance;
    }
    store();
    return std::move(fit_);
  }

 private:
  /// Responsibilities of 1 for the centre nearest to each point, and the components that follow from them.
  void begin() {
    const Eigen::Index N = points_.cols();
    std::vector<double> distance(static_cast<std::size_t>(N), 1.0);
    std::vector<Eigen::Index> nearest(static_cast<std::size_t>(N), 0);
    std::int64_t centres = 0;
    for (; centres < options_.components; ++centres) {
      // With every point on a centre, the centres that are left have none to stand on.
      if (centres > 0 && *std::ranges::max_element(distance) <= 0.0) break;
      const double u = uniform(options_.seed, static_cast<std::uint32_t>(centres), kCentre);
      add_centre(points_.col(static_cast<Eigen::Index>(choose(distance, u))), centres, distance, nearest);
    }
    fit_.dropped = options_.components - centres;
    components_.resize(static_cast<std::size_t>(centres));
    responsibilities_ = Matrix::Zero(centres, N);
    for (Eigen::Index n = 0; n < N; ++n) responsibilities_(nearest[static_cast<std::size_t>(n)], n) = 1.0;
    maximize();
  }

  void add_centre(const Vector& centre, std::int64_t number, std::vector<double>& distance,
                  std::vector<Eigen::Index>& nearest) const {
    exec_.parallel_for(points_.cols(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const double d = (points_.col(n) - centre).squaredNorm();
        const auto at = static_cast<std::size_t>(n);
        if (number > 0 && d >= distance[at]) continue;
        distance[at] = d;
        nearest[at] = number;
      }
    });
  }

  /// Responsibilities of the components for each point; notes the log-likelihood.
  void expect() {
    responsibilities_ = log_joint(exec_, components_, points_, diagonal_);
    std::vector<double> log_sum(static_cast<std::size_t>(points_.cols()));
    exec_.parallel_for(points_.cols(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        log_sum[static_cast<std::size_t>(n)] = normalize(responsibilities_.col(n));
      }
    });
    fit_.log_likelihood.push_back(std::accumulate(log_sum.begin(), log_sum.end(), 0.0) /
                                  double(points_.cols()));
  }

  /// The components that the responsibilities ask for, those with too few points left out.
  void maximize() {
    const Vector share = responsibilities_.rowwise().sum();
    const double least = diagonal_ ? 2.0 : double(points_.rows()) + 1.0;
    std::vector<Eigen::Index> kept;
    for (Eigen::Index m = 0; m < share.size(); ++m) {
      if (share(m) >= least) kept.push_back(m);
    }
    if (kept.empty()) {
      Eigen::Index largest;
      share.maxCoeff(&largest);
      kept.push_back(largest);
    }
    fit_.dropped += share.size() - static_cast<std::int64_t>(kept.size());
    components_.resize(kept.size());
    exec_.parallel_for(static_cast<std::int64_t>(kept.size()), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) {
        components_[static_cast<std::size_t>(k)] = component_of(kept[static_cast<std::size_t>(k)]);
      }
    });
    double sum = 0.0;
    for (const Gaussian& component : components_) sum += component.weight;
    for (Gaussian& component : components_) component.weight /= sum;
  }

  Gaussian component_of(Eigen::Index m) const {
    const Eigen::Index Z = points_.rows(), N = points_.cols();
    const double total = responsibilities_.row(m).sum();
    Gaussian g{
        .weight = total, .mean = points_ * responsibilities_.row(m).transpose() / total, .covariance = {}};
    g.covariance = Matrix::Zero(Z, Z);
    for (Eigen::Index first = 0; first < N; first += kBlock) {
      const Eigen::Index count = std::min(kBlock, N - first);
      const auto of_block = responsibilities_.row(m).segment(first, count).array();
      Matrix centred = points_.middleCols(first, count).colwise() - g.mean;
      centred.array().rowwise() *= of_block.sqrt();
      if (diagonal_) {
        g.covariance.diagonal() += centred.rowwise().squaredNorm();
      } else {
        g.covariance.selfadjointView<Eigen::Lower>().rankUpdate(centred);
      }
    }
    g.covariance = bounded(Matrix(g.covariance.selfadjointView<Eigen::Lower>()) / total);
    return g;
  }

  /// The covariance with no direction of less than the least variance: its eigenvalues raised to that.
  Matrix bounded(const Matrix& covariance) const {
    if (diagonal_) return covariance.diagonal().cwiseMax(least_variance_).asDiagonal();
    const Eigen::SelfAdjointEigenSolver<Matrix> solver(covariance);
    if (solver.eigenvalues()(0) >= least_variance_) return covariance;
    const Matrix raised = solver.eigenvectors() *
                          solver.eigenvalues().cwiseMax(least_variance_).asDiagonal() *
                          solver.eigenvectors().transpose();
    return 0.5 * (raised + raised.transpose());
  }

  void store() {
    fit_.mixture.dimensions = points_.rows();
    for (const Gaussian& g : components_) {
      fit_.mixture.weight.push_back(g.weight);
      fit_.mixture.mean.insert(fit_.mixture.mean.end(), g.mean.begin(), g.mean.end());
      const auto values = g.covariance.reshaped();
      fit_.mixture.covariance.insert(fit_.mixture.covariance.end(), values.begin(), values.end());
    }
  }

  const CpuExec& exec_;
  MixtureOptions options_;
  bool diagonal_;
  Matrix points_;  // (Z, N)
  double least_variance_ = 0.0;
  std::vector<Gaussian> components_;
  Matrix responsibilities_;  // (M, N); columns sum to 1
  MixtureFit fit_;
};

std::vector<Gaussian> components_of(const FittedMixture& mixture) {
  const Eigen::Index Z = mixture.dimensions;
  std::vector<Gaussian> components;
  for (std::int64_t m = 0; m < mixture.components(); ++m) {
    components.push_back({mixture.weight[static_cast<std::size_t>(m)],
                          Eigen::Map<const Vector>(mixture.mean.data() + m * Z, Z),
                          Eigen::Map<const Matrix>(mixture.covariance.data() + m * Z * Z, Z, Z)});
  }
  return components;
}

void check(View<const float, 2> points, const MixtureOptions& options) {
  FELBO_CHECK(options.components >= 1, "a mixture needs at least one component, got {}", options.components);
  FELBO_CHECK(options.iterations >= 1, "a fit needs at least one iteration, got {}", options.iterations);
  FELBO_CHECK(points.rows >= options.components, "{} components for {} points: give fewer components",
              options.components, points.rows);
  for (std::int64_t n = 0; n < points.rows; ++n) {
    for (std::int64_t d = 0; d < points.cols; ++d) {
      FELBO_CHECK(std::isfinite(points(n, d)),
                  "point {} is {} in dimension {}: a mixture needs finite points", n, points(n, d), d);
    }
  }
}

}  // namespace

MixtureFit fit_mixture(const CpuExec& exec, View<const float, 2> points, const MixtureOptions& options) {
  check(points, options);
  return Em(exec, points, options)();
}

std::vector<double> log_density(const CpuExec& exec, const FittedMixture& mixture,
                                View<const float, 2> points) {
  FELBO_CHECK(points.cols == mixture.dimensions, "points of {} dimensions, a mixture of {}", points.cols,
              mixture.dimensions);
  const std::vector<Gaussian> components = components_of(mixture);
  const bool diagonal =
      std::ranges::all_of(components, [](const Gaussian& g) { return is_diagonal(g.covariance); });
  Matrix columns(points.cols, points.rows);
  for (std::int64_t n = 0; n < points.rows; ++n) {
    for (std::int64_t d = 0; d < points.cols; ++d) columns(d, n) = static_cast<double>(points(n, d));
  }
  Matrix joint = log_joint(exec, components, columns, diagonal);
  std::vector<double> density;
  for (Eigen::Index n = 0; n < joint.cols(); ++n) density.push_back(normalize(joint.col(n)));
  return density;
}

std::vector<float> draw_mixture(const CpuExec& exec, const FittedMixture& mixture, std::int64_t count,
                                std::uint64_t seed) {
  const std::int64_t Z = mixture.dimensions;
  std::vector<float> z(static_cast<std::size_t>(count * Z));
  normal_fill(exec, {{seed, 0, Purpose::kAggregate}, 0, kEps, {z.data(), count, Z}});
  std::vector<Gaussian> components = components_of(mixture);
  std::vector<Matrix> factor;
  for (const Gaussian& g : components) factor.push_back(Eigen::LLT<Matrix>(g.covariance).matrixL());
  for (std::int64_t i = 0; i < count; ++i) {
    const std::size_t m =
        choose(mixture.weight, uniform(seed, static_cast<std::uint32_t>(i), kWhichComponent));
    Eigen::Map<Eigen::VectorXf> row(z.data() + i * Z, Z);
    const Vector drawn = components[m].mean + factor[m] * row.cast<double>();
    row = drawn.cast<float>();
  }
  return z;
}

}  // namespace felbo
