#include <brigade/async/assert.hpp>

#include <cstdio>
#include <cstdlib>

namespace brigade::detail {

void assertion_failed(const char* condition, const char* message, const char* file, int line) {
  std::fprintf(stderr, "brigade: misuse: %s (%s) at %s:%d\n", message, condition, file, line);
  std::abort();
}

}  // namespace brigade::detail
