#include "connect/http_components.hpp"

#include <brigade/connect/http.hpp>

namespace brigade {

void register_http(registry& to) {
  to.add(http::source_component());
  to.add(http::stage_component());
  to.add(http::sink_component());
}

}  // namespace brigade
