/// The source `postgres`.
#pragma once

namespace brigade {

class registry;

void register_postgres_source(registry& to);

}  // namespace brigade
