# libFuzzer's programs (clang): fuzz_TARGET for each target of tests/fuzz/targets.h, all of them under `fuzzers`. The code
# that parses is compiled for them alone, without the mathematics. scripts/fuzz.sh builds and runs them.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang" OR NOT FELBO_SANITIZE MATCHES "fuzzer-no-link")
  message(FATAL_ERROR "FELBO_BUILD_FUZZERS needs clang and FELBO_SANITIZE=fuzzer-no-link,...: use `cmake --preset fuzz`.")
endif()

set(parser_sources
  host/data/array_file.cpp host/data/byte_source.cpp host/data/idx.cpp host/data/npy.cpp host/data/npz.cpp
  host/data/summary.cpp host/exec/cpu_exec.cpp host/exec/precision.cpp host/run/atomic_file.cpp host/run/checkpoint.cpp
  host/run/run_config.cpp host/run/run_folder.cpp host/run/run_options.cpp host/run/safetensors.cpp host/run/sha256.cpp
  host/model/latent_family.cpp host/model/mlp.cpp host/model/parameter_table.cpp host/model/vae.cpp
  host/train/beta_schedule.cpp host/train/lr_schedule.cpp host/train/training_objective.cpp
  kernels/dense/activation_names.cpp kernels/likelihood/likelihood_names.cpp)
set(target_sources tests/fuzz/arrays.cpp tests/fuzz/checkpoints.cpp tests/fuzz/configuration.cpp)

add_library(felbo_fuzzed STATIC EXCLUDE_FROM_ALL ${parser_sources} ${target_sources})
felbo_configure_target(felbo_fuzzed)
target_include_directories(felbo_fuzzed PRIVATE ${FELBO_ZIP_INCLUDE})
target_link_libraries(felbo_fuzzed PUBLIC fmt::fmt OpenMP::OpenMP_CXX nlohmann_json::nlohmann_json spdlog::spdlog
                                          Eigen3::Eigen ZLIB::ZLIB OpenSSL::Crypto ${FELBO_ZIP_LIBRARY} CLI11::CLI11
                                          tomlplusplus::tomlplusplus)

add_custom_target(fuzzers)
foreach(name IN ITEMS idx gzip npy npz toml safetensors flags)
  add_executable(fuzz_${name} EXCLUDE_FROM_ALL tests/fuzz/libfuzzer.cpp)
  felbo_configure_target(fuzz_${name})
  target_compile_definitions(fuzz_${name} PRIVATE FELBO_FUZZ_TARGET=${name})
  target_link_libraries(fuzz_${name} PRIVATE felbo_fuzzed)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers fuzz_${name})
endforeach()
