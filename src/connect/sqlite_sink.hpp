/// The sink `sqlite`, made of what its settings came to.
#pragma once
#include "connect/sqlite_writer.hpp"

#include <brigade/pipeline/sink.hpp>

#include <memory>

namespace brigade {

[[nodiscard]] std::unique_ptr<sink> make_sqlite_sink(sqlite::writer_options options);

}  // namespace brigade
