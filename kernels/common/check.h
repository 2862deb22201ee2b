// Input checks. A failed check is the caller's or the user's mistake: it throws std::invalid_argument,
// which the program reports with exit status 2. Failures of the machine (a full disk, a lost device) are
// std::runtime_error and end with exit status 1.
#pragma once

#include <fmt/core.h>

#include <stdexcept>

/// Throws std::invalid_argument with the formatted message (fmt syntax) unless `cond` holds.
#define FELBO_CHECK(cond, ...)                               \
  do {                                                       \
    if (!(cond)) [[unlikely]]                                \
      throw std::invalid_argument(fmt::format(__VA_ARGS__)); \
  } while (false)
