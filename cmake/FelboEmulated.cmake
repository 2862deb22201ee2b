# CUDA code on a CPU: the emulator, felbo's launchers and kernels compiled for it by the C++ compiler, and the tests of
# ops run against them. A second set, under -fsanitize=thread, is a check for races in shared memory.
find_package(Boost REQUIRED COMPONENTS context)

file(GLOB emulated_sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/kernels/*/*_cuda.cu)
list(APPEND emulated_sources benchmarks/unfused_cuda.cu benchmarks/random_words_cuda.cu)
list(TRANSFORM emulated_sources PREPEND ${PROJECT_SOURCE_DIR}/)
set_source_files_properties(${emulated_sources} PROPERTIES LANGUAGE CXX)
set(emulator_schedules forward reverse random greedy-forward greedy-reverse)
# A schedule orders the threads of a kernel. The ops' own tests see each kernel under every one of them; what host rooms
# add is the order of whole kernels, which no schedule changes.
set(emulator_room_schedules reverse random)

# What all code needs that sees the emulator's cuda_runtime.h in the toolkit's place.
function(felbo_configure_emulated target)
  felbo_configure_target(${target})
  target_include_directories(${target} BEFORE PRIVATE ${PROJECT_SOURCE_DIR}/tests/emulator/include)
  target_compile_options(${target} PRIVATE -Wno-unknown-pragmas)
endfunction()

# Kernels tell the emulator of addresses that are not aligned as a device would want them.
function(felbo_check_alignment target)
  if(NOT FELBO_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=alignment)
  endif()
endfunction()

# felbo_add_emulator(SUFFIX options...): felbo_emulator<SUFFIX> runs fibers, felbo_emulated<SUFFIX> holds the launchers.
function(felbo_add_emulator suffix)
  add_library(felbo_emulator${suffix} STATIC ${PROJECT_SOURCE_DIR}/tests/emulator/fibers.cpp
                                             ${PROJECT_SOURCE_DIR}/tests/emulator/runtime.cpp
                                             ${PROJECT_SOURCE_DIR}/tests/emulator/cublaslt.cpp)
  felbo_configure_emulated(felbo_emulator${suffix})
  target_link_libraries(felbo_emulator${suffix} PUBLIC Boost::context)
  add_library(felbo_emulated${suffix} STATIC ${emulated_sources} ${PROJECT_SOURCE_DIR}/host/exec/cuda_exec.cpp
                                             ${PROJECT_SOURCE_DIR}/host/exec/cuda_libraries.cpp
                                             ${PROJECT_SOURCE_DIR}/host/exec/cublas_lt.cpp)
  felbo_configure_emulated(felbo_emulated${suffix})
  target_link_libraries(felbo_emulated${suffix} PUBLIC felbo_emulator${suffix} felbo_kernels spdlog::spdlog)
endfunction()

# What race checks are compiled and linked with: everything but the emulator itself.
function(felbo_check_races target)
  target_compile_options(${target} PRIVATE -fsanitize=thread -g1)
  target_link_options(${target} PRIVATE -fsanitize=thread)
endfunction()

felbo_add_emulator("")
felbo_check_alignment(felbo_emulated)
if(NOT FELBO_SANITIZE)
  felbo_add_emulator(_races)
  target_compile_definitions(felbo_emulator_races PRIVATE FELBO_EMULATOR_TSAN)
  felbo_check_races(felbo_emulated_races)
endif()

# Tests of many samples, which only count or average what others judge element by element, take minutes emulated.
set(emulated_filter_evaluate "-Quadrature*:*Scatters*:*Calibrated*:*WithAnotherPosterior*:*CountsEachClamped*:*TheTilesDoNotMatter*:*ThreadsDoNot*")
# So do annealing and the fits of posteriors; what never reaches a device runs on the CPU alone.
string(APPEND emulated_filter_evaluate ":*AgreesWithTheExact*:Simulate.LogPx*:Gap.Parts*:Gap.TheFitted*:Gap.IsNought*")
string(APPEND emulated_filter_evaluate ":Layers.Bounds*:Layers.TheBound*:Layers.DrawsFrom*:Anneal.*:AnnealedSums.*:Auroc.*:Corrupt.*:Draw.*:DrawObservations.*:Mixture.*:Oracle.*:Psnr.*:Schedule.*")

set(emulated_filter_train "-GradientMoments.*:BatchSplit.*")
set(emulated_filter_model "Latent.*:Layers.*:-*TheClosedKl*")
set(emulated_filter_likelihood "-Unit.DensitiesIntegrateToOne:Unit.ProbabilitiesSumToOne")
# Every kernel of every family once, in each of its mappings, is enough for the race check, which is ten times slower, and
# for all schedules but one.
set(races_filter_likelihood "Likelihood.RowsAreWeighed:Likelihood.BFloat16WithoutGradientStays")
# Of dense layers what launches every kernel: the rest is their reference, which takes ten minutes to check for nothing.
set(races_filter_dense "Dense.BitsAreTheSameEachTime:Dense.EpiloguesAndKernelsKeepTheSame")
# Of the oracle only what runs on the device.
set(emulated_filter_oracle "*OnThisDevice")

function(felbo_add_emulated_runs test target schedules)
  foreach(schedule IN LISTS schedules)
    set(filter "")
    if(races_filter_${test} AND NOT schedule STREQUAL random)
      set(filter --gtest_filter=${races_filter_${test}})
    elseif(emulated_filter_${test})
      set(filter --gtest_filter=${emulated_filter_${test}})
    endif()
    add_test(NAME emulated.${test}.${schedule} COMMAND ${target} ${filter})
    set_tests_properties(emulated.${test}.${schedule} PROPERTIES TIMEOUT 1200 LABELS emulated
                         ENVIRONMENT "FELBO_EMULATOR_SCHEDULE=${schedule};GOMP_SPINCOUNT=2000")
    if(test MATCHES "^(check|likelihood)$")  # minutes: they begin first
      set_tests_properties(emulated.${test}.${schedule} PROPERTIES COST 1000)
    endif()
  endforeach()
endfunction()

# Folders with a test that includes the toolkit's headers, the emulator's in their place. All others know of a device what
# CudaExec says, and the same objects are linked with the emulated launchers and with the real ones.
set(device_aware_tests dense|train|bench)

# The tests of an op or of a host room once more for CudaExec: emulated under each schedule, under the race check (an op
# only: a room runs the same kernels), and on a GPU.
function(felbo_add_cuda_tests op sources)
  cmake_parse_arguments(arg "RACES" "" "" ${ARGN})
  set(target test_emulated_${op})
  add_library(${target}_objects OBJECT ${sources})
  felbo_configure_emulated(${target}_objects)
  felbo_spare_optimization(${target}_objects)
  target_compile_definitions(${target}_objects PRIVATE FELBO_TEST_CUDA)
  target_link_libraries(${target}_objects PUBLIC felbo_test_harness)
  add_executable(${target} $<TARGET_OBJECTS:${target}_objects>)
  felbo_configure_target(${target})
  target_link_libraries(${target} PRIVATE felbo_emulated felbo_test_harness)
  if(arg_RACES)
    felbo_add_emulated_runs(${op} ${target} "${emulator_schedules}")
  else()
    felbo_add_emulated_runs(${op} ${target} "${emulator_room_schedules}")
  endif()
  if(arg_RACES AND TARGET felbo_emulated_races)
    add_executable(test_races_${op} ${sources})
    felbo_configure_emulated(test_races_${op})
    felbo_check_races(test_races_${op})
    felbo_spare_optimization(test_races_${op})
    target_compile_definitions(test_races_${op} PRIVATE FELBO_TEST_CUDA)
    target_link_libraries(test_races_${op} PRIVATE felbo_emulated_races felbo_test_harness)
    set(filter "")
    if(races_filter_${op})
      set(filter --gtest_filter=${races_filter_${op}})
    endif()
    add_test(NAME races.${op} COMMAND test_races_${op} ${filter})
    set_tests_properties(races.${op} PROPERTIES TIMEOUT 1200 LABELS emulated ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1")
  endif()
  if(FELBO_HAVE_CUDA)
    if(op MATCHES "^(${device_aware_tests})$")
      add_executable(test_cuda_${op} ${sources})
      felbo_spare_optimization(test_cuda_${op})
      target_compile_definitions(test_cuda_${op} PRIVATE FELBO_TEST_CUDA)
    else()
      add_executable(test_cuda_${op} $<TARGET_OBJECTS:${target}_objects>)
    endif()
    felbo_configure_target(test_cuda_${op})
    target_link_libraries(test_cuda_${op} PRIVATE felbo_cuda felbo_test_harness)
    add_test(NAME cuda.${op} COMMAND test_cuda_${op})
    set_tests_properties(cuda.${op} PROPERTIES TIMEOUT 1200 LABELS cuda SKIP_REGULAR_EXPRESSION "not run on a GPU")
  endif()
endfunction()

# A planted bug in a kernel or launcher: `text` in place of `file`. Some schedule must turn the op's emulated test red.
function(felbo_add_emulated_mutant op unit name file root text)
  file(GENERATE OUTPUT ${root}/${file} CONTENT "${text}")
  set(source ${PROJECT_SOURCE_DIR}/kernels/${op}/${unit}_cuda.cu)
  if(file MATCHES "\\.cu$")
    set(source ${root}/${file})
  endif()
  set_source_files_properties(${source} PROPERTIES LANGUAGE CXX)
  set(target mutant_emulated_${op}_${name})
  add_executable(${target} ${source} $<TARGET_OBJECTS:test_emulated_${op}_objects>)
  felbo_configure_emulated(${target})
  felbo_check_alignment(${target})
  target_include_directories(${target} BEFORE PRIVATE ${root})
  target_compile_options(${target} PRIVATE -w -O1)
  target_link_libraries(${target} PRIVATE felbo_emulated felbo_test_harness)
  add_test(NAME mutant.${op}.${name}
           COMMAND sh ${PROJECT_SOURCE_DIR}/tests/harness/expect_red_emulated.sh $<TARGET_FILE:${target}>)
  set_tests_properties(mutant.${op}.${name} PROPERTIES TIMEOUT 600 LABELS mutant)
endfunction()

# A planted bug in host code that only a device shows: `text` in place of `file`, a header or a source of felbo_emulated.
function(felbo_add_emulated_host_mutant op name file root text test)
  file(GENERATE OUTPUT ${root}/${file} CONTENT "${text}")
  set(target mutant_emulated_${op}_${name})
  add_executable(${target} ${test})
  if(file MATCHES "\\.cpp$")
    target_sources(${target} PRIVATE ${root}/${file})
  endif()
  felbo_configure_emulated(${target})
  target_include_directories(${target} BEFORE PRIVATE ${root})
  target_compile_definitions(${target} PRIVATE FELBO_TEST_CUDA)
  target_compile_options(${target} PRIVATE -w -O1)
  target_link_libraries(${target} PRIVATE felbo_emulated felbo_test_harness)
  add_test(NAME mutant.${op}.${name} COMMAND sh ${PROJECT_SOURCE_DIR}/tests/harness/expect_red.sh $<TARGET_FILE:${target}>)
  set_tests_properties(mutant.${op}.${name} PROPERTIES TIMEOUT 600 LABELS mutant ENVIRONMENT "GOMP_SPINCOUNT=2000")
endfunction()

# One kernel of planted_bugs.cpp, which must be reported as `report` says, or pass where that is empty.
function(felbo_add_planted_bug kind kernel report)
  add_test(NAME emulator.${kind}.${kernel} COMMAND planted_bugs_${kind} ${kernel})
  set_tests_properties(emulator.${kind}.${kernel} PROPERTIES TIMEOUT 300 LABELS emulated)
  if(report)
    set_tests_properties(emulator.${kind}.${kernel} PROPERTIES PASS_REGULAR_EXPRESSION "${report}")
  endif()
endfunction()

# The whole program on the emulated machine, run as a script would.
function(felbo_add_emulated_program)
  set(commands felbo_cli)
  if(NOT FELBO_HAVE_CUDA)  # those of the program know no device
    set(commands felbo_emulated_cli)
    felbo_add_cli(${commands})
    target_compile_definitions(${commands} PRIVATE FELBO_WITH_CUDA=1)
  endif()
  add_executable(felbo_emulated_program $<TARGET_OBJECTS:${commands}> ${PROJECT_SOURCE_DIR}/host/cli/info_command.cpp
                                        ${PROJECT_SOURCE_DIR}/tests/emulator/no_bench.cpp)
  felbo_configure_emulated(felbo_emulated_program)
  target_compile_definitions(felbo_emulated_program PRIVATE FELBO_WITH_CUDA=1 FELBO_VERSION="${PROJECT_VERSION}"
                             FELBO_ARCH_NAME="${FELBO_ARCH}" FELBO_CUDA_VERSION="emulated")
  target_link_libraries(felbo_emulated_program PRIVATE felbo_emulated felbo_host CLI11::CLI11 DNNL::dnnl PNG::PNG
                        ZLIB::ZLIB)
  add_executable(test_emulated_program ${PROJECT_SOURCE_DIR}/tests/emulator/program_test.cpp)
  felbo_configure_target(test_emulated_program)
  target_compile_options(test_emulated_program PRIVATE -O0)
  target_compile_definitions(test_emulated_program PRIVATE
    FELBO_PROGRAM="$<TARGET_FILE:felbo_emulated_program>" FELBO_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    FELBO_PYTHON="${PROJECT_SOURCE_DIR}/build/venv/bin/python")
  target_link_libraries(test_emulated_program PRIVATE felbo_test_harness)
  add_dependencies(test_emulated_program felbo_emulated_program)
  add_test(NAME emulated.program COMMAND test_emulated_program)
  set_tests_properties(emulated.program PROPERTIES TIMEOUT 1200 LABELS emulated ENVIRONMENT "GOMP_SPINCOUNT=2000")
endfunction()

# The emulator's own tests: kernels with a planted bug, each found by the tool that is there to find it.
function(felbo_add_emulator_tests)
  set(folder ${PROJECT_SOURCE_DIR}/tests/emulator)
  add_executable(test_emulator ${folder}/emulator_test.cpp ${folder}/cuda_exec_test.cpp ${folder}/cublaslt_test.cpp)
  felbo_configure_emulated(test_emulator)
  felbo_check_alignment(test_emulator)
  target_link_libraries(test_emulator PRIVATE felbo_emulated felbo_test_harness)
  felbo_add_emulated_runs(emulator test_emulator "${emulator_schedules}")
  if(FELBO_SANITIZE)
    return()
  endif()
  add_executable(planted_bugs_races ${folder}/planted_bugs.cpp)
  felbo_configure_emulated(planted_bugs_races)
  felbo_check_races(planted_bugs_races)
  target_link_libraries(planted_bugs_races PRIVATE felbo_emulator_races)
  felbo_add_planted_bug(races right "")
  foreach(kernel missing-syncthreads missing-syncwarp missing-second-barrier)
    felbo_add_planted_bug(races ${kernel} "WARNING: ThreadSanitizer: data race")
  endforeach()
  add_executable(planted_bugs_addresses ${folder}/planted_bugs.cpp ${folder}/fibers.cpp ${folder}/runtime.cpp)
  felbo_configure_emulated(planted_bugs_addresses)
  target_compile_options(planted_bugs_addresses PRIVATE -fsanitize=address,undefined -g1)
  target_link_options(planted_bugs_addresses PRIVATE -fsanitize=address,undefined)
  target_link_libraries(planted_bugs_addresses PRIVATE Boost::context)
  felbo_add_planted_bug(addresses right "")
  felbo_add_planted_bug(addresses shared-overrun "AddressSanitizer: global-buffer-overflow")
endfunction()

# Registers, spills and 16-byte accesses of every kernel, as nvcc compiles them. CI runs the script and shows the table.
if(FELBO_HAVE_CUDA)
  add_custom_target(cuda_report COMMAND ${PROJECT_SOURCE_DIR}/scripts/cuda_report.sh ${CMAKE_CUDA_COMPILER} USES_TERMINAL)
endif()
