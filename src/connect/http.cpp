#include "connect/http_source_component.hpp"

#include <brigade/connect/http.hpp>
#include <brigade/pipeline/registry.hpp>

namespace brigade {

void register_http(registry& to) { to.add(http_source_component()); }

}  // namespace brigade
