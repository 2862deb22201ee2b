// The words whose rate is the roof of noise are those of Philox, as many as asked for.
#include "benchmarks/random_words.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "host/exec/buffer.h"
#include "tests/harness/exec.h"

namespace felbo::bench {
namespace {

TEST(RandomWords, AreAllOfThem) {
  const NoiseStream stream{0x123456789abcdefu, 17, Purpose::kLatent};
  const test::ExecHandle exec = test::open_exec(2);
  for (const std::int64_t data : {1, 5, 300}) {
    for (const int blocks : {1, 2, 9, 33, 257}) {
      const Buffer<test::ExecType, std::uint32_t> out(exec, data);
      random_words(exec, {stream, blocks, out.view()});
      const std::vector<std::uint32_t> got = to_host<test::ExecType>(exec, out.view());
      for (std::int64_t n = 0; n < data; ++n) {
        std::uint32_t all = 0;
        for (int block = 0; block < blocks; ++block) {
          const Words4 words = philox4x32_10(
              {{static_cast<std::uint32_t>(block), 17, static_cast<std::uint32_t>(n), stream.where(0)}},
              0x89abcdefu, 0x1234567u);
          for (int i = 0; i < 4; ++i) all ^= words[i];
        }
        EXPECT_EQ(got[static_cast<std::size_t>(n)], all)
            << data << " data, " << blocks << " blocks, datum " << n;
      }
    }
  }
}

}  // namespace
}  // namespace felbo::bench
