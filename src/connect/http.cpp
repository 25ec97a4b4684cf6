#include "connect/http_components.hpp"

#include <brigade/connect/http.hpp>

#include <utility>

namespace brigade {

field_spec http::field(std::string name, field_type type, std::string fallback, std::string doc,
                       std::string example) {
  field_spec made;
  made.name = std::move(name);
  made.type = type;
  made.fallback = std::move(fallback);
  made.doc = std::move(doc);
  made.example = std::move(example);
  return made;
}

void register_http(registry& to) {
  to.add(http::source_component());
  to.add(http::stage_component());
  to.add(http::sink_component());
}

}  // namespace brigade
