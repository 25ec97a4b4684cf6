/// The sink `postgres` as a component: see brigade/connect/postgres.hpp.
#pragma once
#include <brigade/pipeline/registry.hpp>

namespace brigade::postgres {

[[nodiscard]] component sink_component();

}  // namespace brigade::postgres
