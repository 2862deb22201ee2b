#include "kernels/gather/gather_csr.h"

#include <algorithm>

#include "kernels/gather/gather_csr_check.h"

namespace felbo {
namespace {

constexpr std::int64_t kGrain = 32768;  // zeros that are worth a thread

void gather_row(const GatherCsrArgs& args, std::int64_t place, std::int64_t i) {
  const std::uint32_t datum = args.rows(i);
  const std::int64_t source = source_row(place, i, datum);
  float* x = args.x.row(i);
  std::fill_n(x, args.x.cols, 0.0f);
  for (std::int64_t e = args.begin(source); e < args.begin(source + 1); ++e)
    x[args.column(e)] = sparse_element(args, datum, args.column(e), args.value(e));
  if (!args.rounded.empty()) round_to_bfloat16(x, args.x.cols, args.rounded.row(i));
}

}  // namespace

void gather(const CpuExec& exec, const GatherCsrArgs& given) {
  check(given);
  GatherCsrArgs args = given;
  args.noise = args.noise.now();
  const std::int64_t place = args.place.get();
  exec.parallel_for(args.x.rows, 1 + kGrain / (args.x.cols + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) gather_row(args, place, i);
  });
}

}  // namespace felbo
