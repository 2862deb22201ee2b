# felbo's random words against those of cuRAND's device header, which the C++ compiler takes too: on the host where the
# CUDA toolkit's headers are, on a GPU where CUDA code is built.
find_package(CUDAToolkit QUIET)
find_path(FELBO_CURAND_INCLUDE curand_kernel.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
mark_as_advanced(FELBO_CURAND_INCLUDE)

if(NOT FELBO_CURAND_INCLUDE)
  add_test(NAME tests.curand COMMAND ${CMAKE_COMMAND} -E echo "not run: the CUDA toolkit's curand_kernel.h was not found")
  set_tests_properties(tests.curand PROPERTIES SKIP_REGULAR_EXPRESSION "not run")
  return()
endif()

add_executable(test_tests_curand ${PROJECT_SOURCE_DIR}/tests/curand/curand_test.cpp)
felbo_configure_target(test_tests_curand)
target_include_directories(test_tests_curand SYSTEM PRIVATE ${FELBO_CURAND_INCLUDE})
target_link_libraries(test_tests_curand PRIVATE felbo_test_harness)
add_test(NAME tests.curand COMMAND test_tests_curand)
set_tests_properties(tests.curand PROPERTIES TIMEOUT 600)

if(FELBO_HAVE_CUDA)
  add_executable(test_cuda_curand ${PROJECT_SOURCE_DIR}/tests/curand/curand_device_test.cu)
  felbo_configure_target(test_cuda_curand)
  target_compile_definitions(test_cuda_curand PRIVATE FELBO_TEST_CUDA)
  target_link_libraries(test_cuda_curand PRIVATE felbo_cuda felbo_test_harness CUDA::cudart_static)
  add_test(NAME cuda.curand COMMAND test_cuda_curand)
  set_tests_properties(cuda.curand PROPERTIES TIMEOUT 600 LABELS cuda SKIP_REGULAR_EXPRESSION "not run on a GPU")
endif()
