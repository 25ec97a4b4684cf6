#include "connect/postgres_sink.hpp"
#include "connect/postgres_source.hpp"

#include <brigade/connect/postgres.hpp>
#include <brigade/pipeline/registry.hpp>

namespace brigade {

void register_postgres(registry& to) {
  to.add(postgres::sink_component());
  to.add(postgres::source_component());
}

}  // namespace brigade
