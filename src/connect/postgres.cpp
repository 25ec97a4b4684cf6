#include "connect/postgres_sink.hpp"

#include <brigade/connect/postgres.hpp>
#include <brigade/pipeline/registry.hpp>

namespace brigade {

void register_postgres(registry& to) { to.add(postgres::sink_component()); }

}  // namespace brigade
