# libzip, by its header and library: the CMake package of some distributions wants libzip's programs installed too.
find_path(FELBO_ZIP_INCLUDE zip.h)
find_library(FELBO_ZIP_LIBRARY zip)
mark_as_advanced(FELBO_ZIP_INCLUDE FELBO_ZIP_LIBRARY)
if(NOT FELBO_ZIP_INCLUDE OR NOT FELBO_ZIP_LIBRARY)
  message(FATAL_ERROR "felbo: libzip is missing (Debian: libzip-dev); scripts/install-deps.sh installs what felbo needs.")
endif()
