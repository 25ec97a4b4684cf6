# Everything brigade links, all of it packaged by Debian 12; scripts/setup installs it.
#
# The program needs everything but prometheus-cpp and libpq: without, it has no admin endpoint, or
# nothing for PostgreSQL. A project that
# takes in the libraries alone (BRIGADE_CLI off) needs what `pipeline` needs; a connector whose
# library is missing is then left out, with a line.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(SQLite3 REQUIRED)
find_package(fmt REQUIRED)
find_package(OpenSSL 3.0)

if(BRIGADE_CLI)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
  pkg_check_modules(INFLATE REQUIRED IMPORTED_TARGET zlib libzstd)
  pkg_check_modules(PROMETHEUS IMPORTED_TARGET prometheus-cpp-core)
  pkg_check_modules(LIBPQ IMPORTED_TARGET libpq>=14)
  find_package(yaml-cpp REQUIRED)
  find_package(CLI11 REQUIRED)
else()
  find_package(PkgConfig)
  if(PkgConfig_FOUND)
    pkg_check_modules(PCRE2 IMPORTED_TARGET libpcre2-8)
    pkg_check_modules(INFLATE IMPORTED_TARGET zlib libzstd)
    pkg_check_modules(PROMETHEUS IMPORTED_TARGET prometheus-cpp-core)
    pkg_check_modules(LIBPQ IMPORTED_TARGET libpq>=14)
  endif()
endif()
if(BRIGADE_CLI AND NOT OPENSSL_FOUND)
  message(FATAL_ERROR "brigade: OpenSSL 3 was not found (Debian: libssl-dev)")
endif()
include(brigade_jq)
if(BRIGADE_CLI AND NOT jq_FOUND)
  message(FATAL_ERROR "brigade: libjq was not found (Debian: libjq-dev)")
endif()
