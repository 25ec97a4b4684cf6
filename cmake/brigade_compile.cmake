# How everything of ours is compiled; users of the libraries inherit only the standard.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

add_library(brigade_compile INTERFACE)
# Not -Wnon-virtual-dtor: intrusive bases (waiter, timer) are never owned through a pointer, and
# their protected destructors say so; -Wall has -Wdelete-non-virtual-dtor for the real mistake.
target_compile_options(brigade_compile INTERFACE -Wall -Wextra -Wpedantic -Wshadow
                       -Woverloaded-virtual)
if(PROJECT_IS_TOP_LEVEL)  # a compiler we do not know may warn in somebody else's build
  target_compile_options(brigade_compile INTERFACE
                         $<$<NOT:$<BOOL:$<TARGET_PROPERTY:BRIGADE_MAY_WARN>>>:-Werror>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Sibling calls keep coroutine resumption at constant stack in -Og builds too. With -O2, g++ 12
  # takes the destructor of an optional variant for a read of what was never written.
  target_compile_options(brigade_compile INTERFACE -foptimize-sibling-calls
                         -Wno-maybe-uninitialized)
endif()
if(BRIGADE_SANITIZE)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "BRIGADE_SANITIZE needs clang: g++ 12 overflows the stack in "
                        "coroutines under its sanitizers. Use the preset 'asan' or 'tsan'.")
  endif()
  add_compile_options(-fsanitize=${BRIGADE_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${BRIGADE_SANITIZE})
endif()
