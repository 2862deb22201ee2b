// Checkpoints, and safetensors files of any kind.
#include "host/run/checkpoint.h"
#include "host/run/safetensors.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"

namespace felbo::fuzz {

void safetensors(std::string_view bytes) {
  const MemoryFile file(bytes);
  const bool whole = accepts([&] {
    const SafetensorsFile read(file.path());
    std::size_t values = 0;
    for (const std::string& name : read.names()) values += read.tensor(name, read.shape(name)).size();
    require(values * sizeof(float) <= bytes.size(), "no more values than the file has room for");
  });
  const bool run = accepts([&] {
    const LoadedRun loaded = load_run(file.path());
    require(loaded.state.parameters.size() == loaded.vae.table().size(), "the model's parameters");
  });
  require(whole || !run, "a checkpoint is a whole safetensors file");
}

}  // namespace felbo::fuzz
