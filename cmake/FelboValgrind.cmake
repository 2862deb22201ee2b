# What scripts/valgrind.sh runs: the program without its benchmarks, and the same with one planted bug each, all of them under
# `valgrind_programs`.
add_library(felbo_program_objects OBJECT EXCLUDE_FROM_ALL host/cli/info_command.cpp tests/emulator/no_bench.cpp)
felbo_configure_target(felbo_program_objects)
target_compile_definitions(felbo_program_objects PRIVATE FELBO_VERSION="${PROJECT_VERSION}" FELBO_ARCH_NAME="${FELBO_ARCH}"
                           FELBO_CUDA_VERSION="not built")
target_link_libraries(felbo_program_objects PUBLIC felbo_host DNNL::dnnl PNG::PNG ZLIB::ZLIB)
add_custom_target(valgrind_programs)

# The program as valgrind_NAME; with FROM, which must stand exactly once in FILE, replaced by TO.
function(felbo_add_valgrind_program name)
  cmake_parse_arguments(arg "" "FILE;FROM;TO" "" ${ARGN})
  add_executable(valgrind_${name} EXCLUDE_FROM_ALL $<TARGET_OBJECTS:felbo_program_objects>)
  felbo_configure_target(valgrind_${name})
  target_link_libraries(valgrind_${name} PRIVATE felbo_program_objects felbo_cli)
  add_dependencies(valgrind_programs valgrind_${name})
  if(arg_FILE)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${arg_FILE})
    file(READ ${PROJECT_SOURCE_DIR}/${arg_FILE} text)
    string(FIND "${text}" "${arg_FROM}" first)
    string(FIND "${text}" "${arg_FROM}" last REVERSE)
    if(first EQUAL -1 OR NOT first EQUAL last)
      message(FATAL_ERROR "valgrind_${name}: '${arg_FROM}' must stand exactly once in ${arg_FILE}")
    endif()
    string(REPLACE "${arg_FROM}" "${arg_TO}" text "${text}")
    set(planted ${PROJECT_BINARY_DIR}/planted/${name}/${arg_FILE})
    file(GENERATE OUTPUT ${planted} CONTENT "${text}")
    target_sources(valgrind_${name} PRIVATE ${planted})
    target_compile_options(valgrind_${name} PRIVATE -w)
  endif()
endfunction()

# The bugs are in what makes the exact log p(x) of a row of builtin:linear-gaussian.
felbo_add_valgrind_program(felbo)
felbo_add_valgrind_program(uninitialised FILE host/data/linear_gaussian.cpp
  FROM "double square = 0.0" TO "volatile double square")
felbo_add_valgrind_program(leak FILE host/data/linear_gaussian.cpp
  FROM "double square = 0.0" TO "double square = *static_cast<volatile double*>(new double(0.0))")
felbo_add_valgrind_program(outside FILE host/data/linear_gaussian.cpp
  FROM "v(static_cast<std::size_t>(m.latent), 0.0)" TO "v(static_cast<std::size_t>(m.latent - 1), 0.0)")
