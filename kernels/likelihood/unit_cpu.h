// The CPU's loops for a family of unit.h. One pass serves every shared log-spread, given or learned: what
// elements need of it stands in scratch, a dimension at a time.
#pragma once

#include <cmath>

#include "kernels/likelihood/rows_cpu.h"
#include "kernels/likelihood/unit.h"

namespace felbo {
namespace unit_cpu {

template <class Family>
using Where = std::conditional_t<Family::kSpread, SpreadRows<typename Family::Spread>, SpreadNowhere>;

template <class Family, OwnParameters Own>
struct SharedSource {
  Family family_;
  Where<Family> spread;
  VarianceTotals totals;  // over the dimensions
  SharedSpread<Family, Where<Family>, Own> family() const { return {family_, spread}; }
  double row_constant(std::int64_t n) const {
    return static_cast<double>(n) * family_.constant() +
           static_cast<double>(Family::kLogVarFactor) * totals.sum_log_var;
  }
  std::int32_t own_clamped() const { return totals.clamped; }
};

template <class Family>
struct PerElementSource {
  Family family_;
  LogVarClamp clamp;
  SpreadPerElement<Family> family() const { return {family_, clamp}; }
  double row_constant(std::int64_t n) const { return static_cast<double>(n) * family_.constant(); }
  std::int32_t own_clamped() const { return 0; }
};

/// The spread of each dimension, and the totals of their log-spreads.
template <class Family>
VarianceTotals prepare(const Likelihood& which, const LikelihoodArgs& args, const Where<Family>& spread) {
  const std::int64_t n = args.x.cols;
  if (args.own.size > 0 && which.variance == VarianceKind::kPerDimension) {
    return rows_cpu::prepare_variances(args.own, which.clamp, [&](std::int64_t j, float log_var) {
      spread.set(j, Family::spread_of(log_var));
    });
  }
  VarianceTotals totals;
  typename Family::Spread one;
  const auto prepare_one = [&](std::int64_t, float log_var) { one = Family::spread_of(log_var); };
  if (args.own.size > 0) {
    totals = rows_cpu::prepare_variances(args.own, which.clamp, prepare_one);
  } else {
    totals.sum_log_var =
        which.variance == VarianceKind::kFixed ? std::log(double{which.fixed_variance}) : 0.0;
    prepare_one(0, static_cast<float>(totals.sum_log_var));
  }
  totals.sum_log_var *= static_cast<double>(n);
  for (std::int64_t j = 0; j < n; ++j) spread.set(j, one);
  return totals;
}

template <class Family>
void run_shared(const CpuExec& exec, const Likelihood& which, const LikelihoodArgs& args) {
  Where<Family> where;
  VarianceTotals totals;
  if constexpr (Family::kSpread) {
    where = {args.scratch.data, args.x.cols};
    totals = prepare<Family>(which, args, where);
  }
  const Family family = Family::of(which);
  if (!args.want_gradient || args.own.size == 0) {
    const SharedSource<Family, OwnParameters::kNone> source{family, where, totals};
    return args.want_gradient ? rows_cpu::pass_over_rows<true>(exec, source, args, {})
                              : rows_cpu::pass_over_rows<false>(exec, source, args, {});
  }
  if constexpr (Family::kSpread) {
    const SharedSource<Family, OwnParameters::kPerDimension> source{family, where, totals};
    const std::int64_t prepared = kSpreadFloats<Family> * args.x.cols;
    const View<float, 1> sums = args.scratch.slice(prepared, args.scratch.size - prepared);
    rows_cpu::pass_over_rows<true>(exec, source, args, sums);
    if (which.variance == VarianceKind::kPerDimension) {
      rows_cpu::finish_own_columns(exec, which.clamp, args, source.family(), sums);
    } else {
      rows_cpu::finish_own_one(which.clamp, args, source.family(), sums,
                               args.x.cols * blocks_of(args.output.rows, kRowsABlock));
    }
  }
}

}  // namespace unit_cpu

template <class Family>
void unit_likelihood(const CpuExec& exec, const Likelihood& which, const LikelihoodArgs& args) {
  if constexpr (Family::kSpread) {
    if (which.variance == VarianceKind::kPerElement) {
      const unit_cpu::PerElementSource<Family> source{Family::of(which), which.clamp};
      return args.want_gradient ? rows_cpu::pass_over_rows<true>(exec, source, args, {})
                                : rows_cpu::pass_over_rows<false>(exec, source, args, {});
    }
  }
  unit_cpu::run_shared<Family>(exec, which, args);
}

template <class Family>
void unit_mean(const CpuExec& exec, View<const float, 2> output, View<float, 2> mean) {
  const std::int64_t n = mean.cols, grain = 1 + rows_cpu::kElementsAPiece / n;
  exec.parallel_for(mean.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float* from = output.row(r);
      float* to = mean.row(r);
#pragma GCC ivdep
      for (std::int64_t j = 0; j < n; ++j) {
        float location[Family::kLocations];
        for (int k = 0; k < Family::kLocations; ++k) location[k] = from[k * n + j];
        to[j] = Family::mean(location);
      }
    }
  });
}

#define FELBO_INSTANTIATE_UNIT_CPU(Family)                                                         \
  template void unit_likelihood<Family>(const CpuExec&, const Likelihood&, const LikelihoodArgs&); \
  template void unit_mean<Family>(const CpuExec&, View<const float, 2>, View<float, 2>)

}  // namespace felbo
