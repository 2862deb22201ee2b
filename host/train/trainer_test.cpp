#include "host/train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace felbo {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

std::string message_of(const ElboTerms& terms) {
  try {
    check_finite("held-out", 7, terms);
  } catch (const Diverged& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(CheckFinite, LetsFiniteBoundsPass) {
  EXPECT_EQ(message_of({-1e300, -1e300, 0}), "nothing was thrown");
  EXPECT_EQ(message_of({0, 0, 0}), "nothing was thrown");
}

TEST(CheckFinite, NamesTheBoundTheEpochAndWhatMayHelp) {
  const std::string message = message_of({-kInf, -kInf, 3.5});
  for (const char* words : {"the held-out ELBO of epoch 7 is -inf (log p(x|z) -inf, KL 3.5)", "diverged",
                            "--lr", "--warmup-epochs", "--log-var-clamp"})
    EXPECT_NE(message.find(words), std::string::npos) << words << " is not in: " << message;
}

TEST(CheckFinite, ANanHasNoSign) {
  for (const double nan : {kNan, std::copysign(kNan, -1.0)}) {
    const std::string message = message_of({nan, nan, nan});
    EXPECT_NE(message.find("is nan (log p(x|z) nan, KL nan)"), std::string::npos) << message;
  }
}

std::string message_of(const BadStep& bad) {
  const NonFiniteStep error(bad, 3, 16, 422);
  EXPECT_EQ(std::string(error.what()).find(error.where() + ". The run diverged: try a lower --lr"), 0u);
  return error.where();
}

TEST(NonFiniteStep, NamesTheStepAndWhatIsNotFinite) {
  EXPECT_EQ(message_of(BadStep{.step = 860, .elbo = -kInf, .norm = 3}),
            "the ELBO of step 17 of 422 in epoch 3 is -inf");
  EXPECT_EQ(message_of(BadStep{.step = 860, .elbo = -kNan, .norm = 3}),
            "the ELBO of step 17 of 422 in epoch 3 is nan");
  EXPECT_EQ(message_of(BadStep{.step = 860, .elbo = -1, .norm = kNan}),
            "the gradient of step 17 of 422 in epoch 3 has the norm nan");
  EXPECT_EQ(message_of(BadStep{.step = 860, .elbo = -1, .norm = 1e30}),
            "the gradient of step 17 of 422 in epoch 3 has a norm of 1e+30, whose square Adam's second "
            "moment cannot "
            "hold");
  EXPECT_EQ(message_of(BadStep{.step = 860, .elbo = -1, .norm = 1}),
            "a term of the loss of step 17 of 422 in epoch 3 is not finite");
}

TEST(CheckAnyTaken, AnEpochWithoutAStepIsNone) {
  EXPECT_NO_THROW(check_any_taken(2, {.steps = 1, .skipped_steps = 8}));
  EXPECT_THROW(check_any_taken(2, {.skipped_steps = 9}), Diverged);
}

TEST(CheckParameters, NamesTheirNumber) {
  EXPECT_NO_THROW(check_parameters(3, 0));
  try {
    check_parameters(3, 12);
    ADD_FAILURE();
  } catch (const Diverged& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("in epoch 3 12 parameters or moments became NaN or infinite"), std::string::npos)
        << message;
  }
}

}  // namespace
}  // namespace felbo
