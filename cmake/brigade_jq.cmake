# jq::jq, for our build and for users of what was built: Debian's libjq-dev has neither a CMake
# config nor a .pc file.
find_library(JQ_LIBRARY jq)
set(jq_FOUND FALSE)
if(JQ_LIBRARY)
  set(jq_FOUND TRUE)
  if(NOT TARGET jq::jq)
    add_library(jq::jq UNKNOWN IMPORTED)
    set_target_properties(jq::jq PROPERTIES IMPORTED_LOCATION ${JQ_LIBRARY})
  endif()
endif()
