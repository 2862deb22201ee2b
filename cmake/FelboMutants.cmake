# Planted bugs. kernels/<op>/mutants.txt and host/<room>/mutants.txt list textual changes, one a block:
#
#   name:  dropped_tail
#   file:  kernels/gather/gather_cpu.cpp
#   from:  j < cols
#   to:    j < cols - 1
#
# Each makes a copy of the op's sources with that one change, links it with the op's own test in place of the real
# object, and passes when the test goes red. In a host room the change stands in one .cpp, or in a header x.h, whose
# own test x_test.cpp is then compiled again with the changed header in front. A `from` that does not stand exactly once
# in the file stops configuring.
function(felbo_add_mutants folder test_objects)
  get_filename_component(op ${folder} NAME)
  file(GLOB op_sources RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/${folder}/*_cpu.cpp)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/mutants.txt)
  file(STRINGS ${PROJECT_SOURCE_DIR}/${folder}/mutants.txt lines)
  foreach(line IN LISTS lines)
    if(line MATCHES "^(name|file|from|to): *(.*)$")
      set(key ${CMAKE_MATCH_1})
      set(${key} "${CMAKE_MATCH_2}")
      if(key STREQUAL "to")
        felbo_add_mutant(${op} ${name} ${file} "${from}" "${to}" ${test_objects} "${op_sources}")
        set_tests_properties(mutant.${op}.${name} PROPERTIES FIXTURES_REQUIRED green_${folder})
      endif()
    elseif(NOT line MATCHES "^(#.*)?$")
      message(FATAL_ERROR "${folder}/mutants.txt: cannot read the line: ${line}")
    endif()
  endforeach()
endfunction()

function(felbo_add_mutant op name file from to test_objects op_sources)
  set(root ${PROJECT_BINARY_DIR}/mutants/${op}/${name})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${file})
  file(READ ${PROJECT_SOURCE_DIR}/${file} text)
  string(REPLACE "${from}" "" without "${text}")
  string(LENGTH "${text}" whole)
  string(LENGTH "${without}" rest)
  string(LENGTH "${from}" length)
  math(EXPR removed "${whole} - ${rest}")
  if(NOT removed EQUAL length)
    message(FATAL_ERROR "mutant ${op}/${name}: '${from}' must stand exactly once in ${file}")
  endif()
  string(REPLACE "${from}" "${to}" text "${text}")
  file(GENERATE OUTPUT ${root}/${file} CONTENT "${text}")
  set(sources $<TARGET_OBJECTS:${test_objects}>)
  if(file MATCHES "^host/.*\\.h$")
    string(REGEX REPLACE "\\.h$" "_test.cpp" test ${file})
    set(sources ${PROJECT_SOURCE_DIR}/${test})
  elseif(file MATCHES "^host/")
    set(op_sources ${file})
  endif()
  foreach(source IN LISTS op_sources)
    if(source STREQUAL file)
      list(APPEND sources ${root}/${source})
    else()
      list(APPEND sources ${PROJECT_SOURCE_DIR}/${source})
    endif()
  endforeach()
  set(target mutant_${op}_${name})
  add_executable(${target} ${sources})
  target_include_directories(${target} BEFORE PRIVATE ${root})
  felbo_configure_target(${target})
  target_compile_options(${target} PRIVATE -w)  # a planted bug may leave a parameter unused
  target_link_libraries(${target} PRIVATE felbo_test_harness DNNL::dnnl)
  add_test(NAME mutant.${op}.${name} COMMAND sh ${PROJECT_SOURCE_DIR}/tests/harness/expect_red.sh $<TARGET_FILE:${target}>)
  set_tests_properties(mutant.${op}.${name} PROPERTIES TIMEOUT 600 LABELS mutant ENVIRONMENT "GOMP_SPINCOUNT=2000")
endfunction()
