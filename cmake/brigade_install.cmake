# cmake --install, find_package(brigade) and pkg-config, from the libraries that were declared.
#
# Each library is a component of its name: async, pipeline, testing, connect_<system>, and the
# header-only asio. `cmake --install DIR --component async` installs one, whose library alone has to
# be built; a component needs those it is linked with, and all need async, which has the config.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(brigade_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/brigade)
set(brigade_generated ${PROJECT_BINARY_DIR}/install)

# brigade_foreign(TARGET PACKAGE [CMAKE find_package arguments] [REQUIRES pc...] [LIBS flags...]):
# how users find what a library of ours links.
function(brigade_foreign target package)
  cmake_parse_arguments(arg "" "CMAKE;REQUIRES;LIBS" "" ${ARGN})
  string(MAKE_C_IDENTIFIER ${target} id)
  set(brigade_cmake_${id} "brigade_needs(${package} ${arg_CMAKE})" PARENT_SCOPE)
  set(brigade_requires_${id} "${arg_REQUIRES}" PARENT_SCOPE)
  set(brigade_libs_${id} "${arg_LIBS}" PARENT_SCOPE)
endfunction()
brigade_foreign(Threads::Threads Threads LIBS -pthread)
brigade_foreign(Boost::headers Boost CMAKE 1.81)
brigade_foreign(Boost::json Boost CMAKE "1.81 COMPONENTS json" LIBS -lboost_json)
brigade_foreign(SQLite::SQLite3 SQLite3 REQUIRES sqlite3)
brigade_foreign(fmt::fmt fmt REQUIRES fmt)
brigade_foreign(PkgConfig::PCRE2 PCRE2 REQUIRES libpcre2-8)
brigade_foreign(PkgConfig::INFLATE INFLATE REQUIRES zlib libzstd)
brigade_foreign(PkgConfig::PROMETHEUS PROMETHEUS REQUIRES prometheus-cpp-core)
brigade_foreign(OpenSSL::SSL OpenSSL CMAKE 3.0 REQUIRES openssl)
brigade_foreign(PkgConfig::LIBPQ LIBPQ REQUIRES libpq)
brigade_foreign(jq::jq jq LIBS -ljq)

# What the library is linked with, as users meet it: `ours` by component, `foreign` by target.
function(brigade_links library)
  get_target_property(links ${library} INTERFACE_LINK_LIBRARIES)
  set(ours "")
  set(foreign "")
  foreach(link IN LISTS links)
    string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" link "${link}")
    if(NOT link OR link MATCHES "BUILD_INTERFACE")
      continue()
    elseif(link MATCHES "^brigade::(.*)")
      list(APPEND ours ${CMAKE_MATCH_1})
    elseif(link MATCHES "::")
      string(MAKE_C_IDENTIFIER ${link} id)
      if(NOT DEFINED brigade_cmake_${id})
        message(FATAL_ERROR "${library} links ${link}: say in brigade_install.cmake how its users "
                            "find that")
      endif()
      list(APPEND foreign ${id})
    else()
      message(FATAL_ERROR "${library} links ${link}, which users cannot find: link a target")
    endif()
  endforeach()
  set(ours ${ours} PARENT_SCOPE)
  set(foreign ${foreign} PARENT_SCOPE)
endfunction()

# The two files by which users of a component find it and what it needs.
function(brigade_write_component component description)
  set(cmake_lines "")
  set(requires "")
  set(libs "")
  get_target_property(type brigade_${component} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    set(libs "-L\${libdir} -lbrigade_${component}")
  endif()
  foreach(other IN LISTS ours)
    string(APPEND cmake_lines "brigade_uses(${other})\n")
    string(REPLACE "_" "-" other ${other})
    string(APPEND requires " brigade-${other}")
  endforeach()
  foreach(id IN LISTS foreign)
    string(APPEND cmake_lines "${brigade_cmake_${id}}\n")
    list(JOIN brigade_requires_${id} " " foreign_requires)
    string(APPEND requires " ${foreign_requires}")
    string(APPEND libs " ${brigade_libs_${id}}")
  endforeach()
  file(CONFIGURE OUTPUT ${brigade_generated}/brigade-${component}.cmake @ONLY CONTENT
       "@cmake_lines@include(\${CMAKE_CURRENT_LIST_DIR}/brigade-@component@-targets.cmake)\n")
  string(REPLACE "_" "-" pc_name brigade-${component})
  file(CONFIGURE OUTPUT ${brigade_generated}/${pc_name}.pc @ONLY CONTENT
       "prefix=\${pcfiledir}/@brigade_pc_to_prefix@
libdir=\${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=\${prefix}/@CMAKE_INSTALL_INCLUDEDIR@

Name: @pc_name@
Description: @description@
Version: @PROJECT_VERSION@
Requires:@requires@
Libs: @libs@
Cflags: -I\${includedir}
")
  install(FILES ${brigade_generated}/brigade-${component}.cmake
          DESTINATION ${brigade_config_dir} COMPONENT ${component})
  install(FILES ${brigade_generated}/${pc_name}.pc
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT ${component})
endfunction()

function(brigade_install library)
  string(REPLACE "brigade_" "" component ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${component})
  install(TARGETS ${library} EXPORT ${library} ARCHIVE COMPONENT ${component})
  install(EXPORT ${library} FILE brigade-${component}-targets.cmake NAMESPACE brigade::
          DESTINATION ${brigade_config_dir} COMPONENT ${component})
  brigade_links(${library})
  brigade_write_component(${component} "${PROJECT_DESCRIPTION} (${component})")
endfunction()

function(brigade_install_headers component)
  foreach(path IN LISTS ARGN)
    get_filename_component(folder brigade/${path} DIRECTORY)
    if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/include/brigade/${path})
      install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/brigade/${path} COMPONENT ${component}
              DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder} FILES_MATCHING PATTERN "*.hpp")
    else()
      install(FILES ${PROJECT_SOURCE_DIR}/include/brigade/${path} COMPONENT ${component}
              DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder})
    endif()
  endforeach()
endfunction()

file(RELATIVE_PATH brigade_pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" brigade_pc_to_prefix ${brigade_pc_to_prefix})
get_property(libraries GLOBAL PROPERTY BRIGADE_LIBRARIES)
foreach(library IN LISTS libraries)
  brigade_install(${library})
endforeach()

brigade_install_headers(async async.hpp async)
brigade_install_headers(pipeline pipeline.hpp pipeline)
brigade_install_headers(testing testing)
brigade_install_headers(connect_record connect/record.hpp connect/expression.hpp connect/syslog.hpp)
get_property(connectors GLOBAL PROPERTY BRIGADE_CONNECTORS)
foreach(connector IN LISTS connectors)
  string(REPLACE "brigade_connect_" "" system ${connector})
  brigade_install_headers(connect_${system} connect/${system}.hpp)
endforeach()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/brigade-config.cmake.in
                              ${brigade_generated}/brigade-config.cmake
                              INSTALL_DESTINATION ${brigade_config_dir})
write_basic_package_version_file(${brigade_generated}/brigade-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${brigade_generated}/brigade-config.cmake ${CMAKE_CURRENT_LIST_DIR}/brigade_jq.cmake
        ${brigade_generated}/brigade-config-version.cmake
        DESTINATION ${brigade_config_dir} COMPONENT async)
install(PROGRAMS ${PROJECT_SOURCE_DIR}/tools/coroutine_lint.py RENAME brigade-coroutine-lint
        DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT async)
if(TARGET brigade)
  install(TARGETS brigade RUNTIME COMPONENT program)
  # For handlers of `exec`: users copy one beside their program, or name the folder in a path.
  install(FILES ${PROJECT_SOURCE_DIR}/sdk/python/brigade_handler.py
                ${PROJECT_SOURCE_DIR}/sdk/node/brigade_handler.js
          DESTINATION ${CMAKE_INSTALL_DATADIR}/brigade COMPONENT program)
endif()
