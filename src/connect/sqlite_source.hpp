/// The source `sqlite`.
#pragma once

namespace brigade {

class registry;

void register_sqlite_source(registry& to);

}  // namespace brigade
