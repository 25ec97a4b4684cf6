#include "connect/postgres_source.hpp"

#include <brigade/connect/postgres.hpp>

namespace brigade {

void register_postgres(registry& to) { register_postgres_source(to); }

}  // namespace brigade
