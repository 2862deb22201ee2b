# How felbo's targets are made: flags, source globs, mutants and the install rules.

# Appends to OUT every .cpp below ROOT/*/ that is neither a test nor a benchmark.
function(felbo_glob_sources out root)
  file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/${root}/*/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cpp$")
  set(${out} ${sources} PARENT_SCOPE)
endfunction()

# Flags that every target shares. -ffp-contract=off: a fused multiply-add happens where the source says so and
# nowhere else, so results do not depend on the compiler. -fno-math-errno and -fno-trapping-math change no value.
# Argument structs are filled by designated initialisers, which leave fields out on purpose. g++ 12 warns of its own
# std::string (GCC bug 105651).
function(felbo_configure_target target)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-missing-field-initializers;-ffp-contract=off;-fno-math-errno;-fno-trapping-math>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:Clang>>:-Wno-unknown-pragmas>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${FELBO_WERROR}>>:-Werror>)
  # As above for the device: --fmad=false. Local memory in a kernel is a spill or an array that left the registers:
  # ptxas says so. nvcc does not see that fmt 9's constexpr functions are constexpr.
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false;-Xptxas=--warn-on-spills;-Xptxas=--warn-on-local-memory-usage>
    $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wno-missing-field-initializers,-Wno-unknown-pragmas>
    $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${FELBO_WERROR}>>:--Werror=all-warnings;-Xcompiler=-Werror>)
  target_compile_definitions(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)
  if(FELBO_ARCH)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-march=${FELBO_ARCH}>)
  endif()
  if(FELBO_ARCH STREQUAL native)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-mprefer-vector-width=512>)
  endif()
  if(FELBO_SANITIZE)
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${FELBO_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>)
    target_link_options(${target} PRIVATE -fsanitize=${FELBO_SANITIZE})
  endif()
  if(FELBO_COVERAGE)
    # Counts go where GCOV_PREFIX says (scripts/coverage.sh), nowhere without it: so no path of this checkout is in the flags,
    # and ccache gives another checkout's objects.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:--coverage;-fprofile-dir=/dev/null>)
    # gcov computes some counts from others, so none may be lost between threads, which run the libraries' loops. The loops of
    # tests run on one, and took twelve times as long so. By a specs file, since ccache does not know -fprofile-update.
    get_target_property(type ${target} TYPE)
    if(type STREQUAL STATIC_LIBRARY)
      target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-specs=${PROJECT_SOURCE_DIR}/cmake/atomic_counts.specs>)
    endif()
    target_link_options(${target} PRIVATE --coverage)
  endif()
endfunction()

# felbo_add_library(NAME ALIAS short SOURCES ...): a static library felbo::short.
function(felbo_add_library name)
  cmake_parse_arguments(arg "" "ALIAS" "SOURCES" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  add_library(felbo::${arg_ALIAS} ALIAS ${name})
  set_target_properties(${name} PROPERTIES EXPORT_NAME ${arg_ALIAS} POSITION_INDEPENDENT_CODE ON)
  felbo_configure_target(${name})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                            $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/felbo>)
  target_compile_features(${name} PUBLIC cxx_std_20)
endfunction()

# Decides on the CUDA back end and says the decision in one line. A language is enabled only where there is CUDA code.
macro(felbo_find_cuda)
  set(FELBO_HAVE_CUDA OFF)
  if(FELBO_CUDA STREQUAL OFF)
    message(STATUS "felbo: CPU-only build (FELBO_CUDA=OFF)")
  else()
    include(CheckLanguage)
    check_language(CUDA)
    set(nvcc_version 0)
    if(CMAKE_CUDA_COMPILER)
      execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE nvcc_says)
      if(nvcc_says MATCHES "release ([0-9.]+)")
        set(nvcc_version ${CMAKE_MATCH_1})
      endif()
    endif()
    if(nvcc_version VERSION_GREATER_EQUAL 12.0)
      set(FELBO_HAVE_CUDA ON)
    elseif(FELBO_CUDA STREQUAL ON)
      message(FATAL_ERROR "FELBO_CUDA=ON, but no CUDA compiler of version 12.0 or later was found. Install the CUDA "
                          "toolkit, put nvcc on PATH or set CMAKE_CUDA_COMPILER; or configure with -DFELBO_CUDA=OFF.")
    elseif(CMAKE_CUDA_COMPILER)
      message(STATUS "felbo: CPU-only build (${CMAKE_CUDA_COMPILER} is version ${nvcc_version}, C++20 needs 12.0)")
    else()
      message(STATUS "felbo: CPU-only build (no CUDA compiler found)")
    endif()
  endif()
  if(FELBO_HAVE_CUDA)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90)  # and PTX of 9.0, for later devices
    endif()
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc speaks C++20
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    set(CMAKE_CUDA_STANDARD 20)
    message(STATUS "felbo: CUDA code is compiled by ${CMAKE_CUDA_COMPILER}")
  endif()
endmacro()

# Says early, and in words, what compiler and processor felbo needs.
function(felbo_check_compiler)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
    message(FATAL_ERROR "felbo needs g++ 12 or later (or clang 14 or later); this is g++ ${CMAKE_CXX_COMPILER_VERSION}.")
  endif()
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS "-march=${FELBO_ARCH}")
  check_cxx_source_compiles("
    #if !defined(__FMA__) || !defined(__AVX2__)
    #error no fused multiply-add
    #endif
    int main() {}" FELBO_ARCH_HAS_FMA)
  if(NOT FELBO_ARCH_HAS_FMA)
    message(FATAL_ERROR "FELBO_ARCH=${FELBO_ARCH}: felbo's CPU code needs an x86-64 processor with AVX2 and fused "
                        "multiply-add (x86-64-v3 or later).")
  endif()
endfunction()

function(felbo_install_package)
  include(CMakePackageConfigHelpers)
  install(TARGETS felbo_kernels felbo_host EXPORT felboTargets)
  if(FELBO_HAVE_CUDA)
    install(TARGETS felbo_cuda EXPORT felboTargets)
  endif()
  install(DIRECTORY kernels host DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/felbo FILES_MATCHING PATTERN "*.h"
          PATTERN "*_reference.h" EXCLUDE PATTERN "test_files.h" EXCLUDE PATTERN "*_test_reader.h" EXCLUDE PATTERN "cli" EXCLUDE PATTERN "check" EXCLUDE
          PATTERN "oracle" EXCLUDE)
  install(EXPORT felboTargets NAMESPACE felbo:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/felbo)
  configure_package_config_file(cmake/felboConfig.cmake.in felboConfig.cmake
                                INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/felbo)
  write_basic_package_version_file(felboConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/felboConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/felboConfigVersion.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/felbo)
endfunction()
