#include "kernels/minibatch/minibatch.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/harness/exec.h"

namespace felbo {
namespace {

StepPlan plan_of(std::uint32_t step) {
  const auto x = static_cast<float>(step);
  return {step, x + 0.5f, {x + 1, x + 2, x + 3, x + 4, x + 5, x + 6, x + 7}, 3 * std::int64_t{step}};
}

/// An epoch over `data` numbers in batches, whose order is a shift so that no place holds its own number.
struct Epoch {
  Epoch(std::int64_t data, std::int64_t batch) : batch(batch), rows(std::size_t(batch), 0) {
    for (std::int64_t i = 0; i < data; ++i) order.push_back(static_cast<std::uint32_t>((i + 7) % data + 1));
    for (std::int64_t i = 0; i * batch < data; ++i) plan.push_back(plan_of(static_cast<std::uint32_t>(i)));
  }
  NextMinibatchArgs args(std::int64_t count) {
    return {{order.data(), std::int64_t(order.size())},
            {plan.data(), std::int64_t(plan.size())},
            batch,
            {position.data(), 1},
            {rows.data(), count},
            {now.data(), 1}};
  }
  std::int64_t batch;
  test::Array<std::uint32_t> order, rows;
  test::Array<StepPlan> plan, now{StepPlan{}};
  test::Array<std::int64_t> position{0};
};

TEST(NextMinibatch, WalksThroughTheEpochWithItsShortLastBatch) {
  for (const auto& [data, batch] : {std::pair<std::int64_t, std::int64_t>{1, 1},
                                    {5, 2},
                                    {33, 32},
                                    {257, 128},
                                    {1300, 513},
                                    {2100, 1025},
                                    {785, 785}}) {
    SCOPED_TRACE(testing::Message() << data << " data in batches of " << batch);
    Epoch epoch(data, batch);
    for (std::int64_t first = 0, step = 0; first < data; first += batch, ++step) {
      const std::int64_t count = std::min(batch, data - first);
      std::fill(epoch.rows.begin(), epoch.rows.end(), 4'000'000'000u);
      next_minibatch(test::exec(2), epoch.args(count));
      for (std::int64_t i = 0; i < batch; ++i) {
        const std::uint32_t want = i < count ? epoch.order[std::size_t(first + i)] : 4'000'000'000u;
        ASSERT_EQ(epoch.rows[std::size_t(i)], want) << "place " << i << " of step " << step;
      }
      const StepPlan want = plan_of(static_cast<std::uint32_t>(step));
      EXPECT_EQ(epoch.now[0].step, want.step);
      EXPECT_EQ(epoch.now[0].kl_scale, want.kl_scale);
      EXPECT_EQ(epoch.now[0].adam.rate, want.adam.rate);
      EXPECT_EQ(epoch.now[0].adam.epsilon, want.adam.epsilon);
      EXPECT_EQ(epoch.now[0].place, want.place);
      EXPECT_EQ(epoch.position[0], step + 1);
    }
  }
}

TEST(NextMinibatch, RefusesOtherShapes) {
  Epoch epoch(10, 4);
  const auto refused = [&](auto change) {
    NextMinibatchArgs args = epoch.args(4);
    change(args);
    EXPECT_THROW(next_minibatch(test::exec(1), args), std::invalid_argument);
    EXPECT_EQ(epoch.position[0], 0);
  };
  refused([](NextMinibatchArgs& a) { a.rows.size = 0; });
  refused([](NextMinibatchArgs& a) { a.batch = 3; });
  refused([](NextMinibatchArgs& a) { a.order.size = 3; });
  refused([](NextMinibatchArgs& a) { a.position.size = 2; });
  refused([](NextMinibatchArgs& a) { a.now.size = 0; });
}

}  // namespace
}  // namespace felbo
