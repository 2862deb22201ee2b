// The entry of libFuzzer, compiled once a target.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  felbo::fuzz::FELBO_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
