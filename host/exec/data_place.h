// Where the rows of a data set lie for a GPU.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/common/check.h"

namespace felbo {

/// kDevice: in the GPU's memory. kHost: in host memory, from which minibatches are streamed. kAuto: on the
/// device where there is room for them beside the model.
enum class DataPlace { kAuto, kDevice, kHost };

/// "auto", "device" or "host"; throws std::invalid_argument for another text.
inline DataPlace data_place_from_name(std::string_view name) {
  if (name == "device") return DataPlace::kDevice;
  if (name == "host") return DataPlace::kHost;
  FELBO_CHECK(name == "auto", "--data-on must be auto, device or host, got '{}'", name);
  return DataPlace::kAuto;
}

/// How an Exec holds data sets.
struct DataPlacement {
  DataPlace place = DataPlace::kAuto;
  std::int64_t chunk_bytes = std::int64_t{32} << 20;  // that are streamed at once, about; one batch at least
};

}  // namespace felbo
