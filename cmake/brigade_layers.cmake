# brigade_layer(NAME [PUBLIC libs...] [PRIVATE libs...]): the library of src/NAME, with its headers
# in include/brigade/NAME.
function(brigade_layer name)
  cmake_parse_arguments(arg "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  brigade_library(brigade_${name} SOURCES ${sources} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
endfunction()

# brigade_connector(SYSTEM [NEEDS variable] [PUBLIC libs...] [PRIVATE libs...]):
# src/connect/SYSTEM.cpp and SYSTEM_*.cpp, a library of its own; left out when what it needs was not
# found.
function(brigade_connector system)
  cmake_parse_arguments(arg "" "NEEDS" "PUBLIC;PRIVATE" ${ARGN})
  if(arg_NEEDS AND NOT ${arg_NEEDS})
    message(STATUS "brigade: connector '${system}' is left out: its library was not found")
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/connect/${system}.cpp
       ${PROJECT_SOURCE_DIR}/src/connect/${system}_*.cpp)
  if(sources)
    brigade_library(brigade_connect_${system} SOURCES ${sources}
                    PUBLIC brigade::pipeline ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
    set_property(GLOBAL APPEND PROPERTY BRIGADE_CONNECTORS brigade_connect_${system})
  endif()
endfunction()

function(brigade_library target)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${target} STATIC ${arg_SOURCES})
  string(REPLACE "brigade_" "brigade::" alias ${target})
  add_library(${alias} ALIAS ${target})
  if(NOT target STREQUAL "brigade_cli")  # the program's own
    set_property(GLOBAL APPEND PROPERTY BRIGADE_LIBRARIES ${target})
  endif()
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${target} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE}
                        $<BUILD_INTERFACE:brigade_compile>)
endfunction()

# brigade_tests(LAYER [SECONDS n] libs...): every tests/LAYER/*_test.cpp, one program a layer; each
# test ends within SECONDS [300]. -DBRIGADE_TESTS_ONLY='queue|group' builds only these.
function(brigade_tests layer)
  cmake_parse_arguments(arg "" "SECONDS" "" ${ARGN})
  if(NOT arg_SECONDS)
    set(arg_SECONDS 300)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${layer}/*_test.cpp)
  if(BRIGADE_TESTS_ONLY)
    list(FILTER sources INCLUDE REGEX "/(${BRIGADE_TESTS_ONLY})_test\\.cpp$")
  endif()
  if(sources)
    add_executable(${layer}_tests ${sources})
    target_link_libraries(${layer}_tests PRIVATE ${arg_UNPARSED_ARGUMENTS} GTest::gtest
                          GTest::gtest_main brigade_compile)
    target_include_directories(${layer}_tests PRIVATE ${PROJECT_SOURCE_DIR}/src
                               ${PROJECT_SOURCE_DIR}/tests)
    target_precompile_headers(${layer}_tests PRIVATE <gtest/gtest.h>)
    # What takes 12 s to compile with -O1 takes 6 s without; simulations run for longer than that.
    if(BRIGADE_SANITIZE AND NOT layer STREQUAL "sim")
      target_compile_options(${layer}_tests PRIVATE -O0)
    endif()
    # With -O2, g++ 12 sees overruns in `string + "..."` that are none; with -Og it is believed.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
      set_target_properties(${layer}_tests PROPERTIES BRIGADE_MAY_WARN ON)
    endif()
    gtest_discover_tests(${layer}_tests TEST_PREFIX ${layer}. DISCOVERY_TIMEOUT 60
                         PROPERTIES TIMEOUT ${arg_SECONDS})
  endif()
endfunction()
