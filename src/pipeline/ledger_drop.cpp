#include "pipeline/ledger_database.hpp"
#include "pipeline/ledger_lock.hpp"
#include "pipeline/ledger_schema.hpp"

#include <brigade/pipeline/ledger.hpp>

namespace brigade {

using namespace ledger_detail;

std::size_t drop_letters(const std::filesystem::path& ledger,
                         std::span<const std::uint64_t> letters) {
  static_cast<void>(open_for_reading(ledger));  // opening for writing would make one
  prepare_folder(ledger);
  const ledger_lock lock(ledger);
  database rows = open_for_writing(ledger);
  try {
    transaction dropping(rows);
    statement drop = rows.prepare(
        "UPDATE dead_letters SET status = 'dropped' WHERE letter = ? AND status = 'new'");
    std::size_t dropped = 0;
    for (const std::uint64_t letter : letters) {
      drop.run(letter);
      dropped += static_cast<std::size_t>(rows.changes());
    }
    dropping.commit();
    return dropped;
  } catch (const database_error& error) {
    throw explained(ledger, error);
  }
}

}  // namespace brigade
