#include <brigade/connect/http.hpp>
#include <brigade/pipeline/registry.hpp>

namespace brigade {

void register_http(registry&) {}

}  // namespace brigade
