# Where ccache is installed, what was compiled once is not compiled again, in another checkout of the same code either:
# paths are looked at from the source folder. A launcher that the user chose stays.
find_program(FELBO_CCACHE ccache DOC "ccache, if it is to be used")
if(FELBO_CCACHE)
  set(felbo_ccache_settings CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1)
  if(FELBO_COVERAGE)  # nothing reads the folder that a .gcno names, and the time of the specs file is not its content
    list(APPEND felbo_ccache_settings CCACHE_SLOPPINESS=gcno_cwd CCACHE_COMPILERCHECK=content)
  endif()
  set(felbo_launcher ${CMAKE_COMMAND} -E env ${felbo_ccache_settings} ${FELBO_CCACHE})
  foreach(language CXX CUDA)
    if(NOT CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER ${felbo_launcher})
    endif()
  endforeach()
endif()
