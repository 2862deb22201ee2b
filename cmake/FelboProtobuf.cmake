# Protocol buffers: event files are written with their lite library.
find_package(Protobuf REQUIRED)

# Adds the code that protoc makes of a .proto file, named from the source folder, to a target; of its sources `user` alone
# includes it.
function(felbo_add_proto target proto user)
  string(REGEX REPLACE "\\.proto$" ".pb" stem ${proto})
  set(out ${PROJECT_BINARY_DIR}/proto)
  add_custom_command(OUTPUT ${out}/${stem}.cc ${out}/${stem}.h
                     COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
                     COMMAND protobuf::protoc --cpp_out=${out} -I ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/${proto}
                     DEPENDS ${PROJECT_SOURCE_DIR}/${proto} protobuf::protoc VERBATIM)
  target_sources(${target} PRIVATE ${out}/${stem}.cc ${out}/${stem}.h)
  set_source_files_properties(${user} PROPERTIES COMPILE_OPTIONS "-isystem;${out}")
  set_source_files_properties(${out}/${stem}.cc PROPERTIES COMPILE_OPTIONS "-w;-isystem;${out}")
  target_link_libraries(${target} PRIVATE protobuf::libprotobuf-lite)
endfunction()
