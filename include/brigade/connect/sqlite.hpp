/// SQLite: the sink `sqlite`, exactly once, and the source `sqlite`.
///
/// The sink:
/// A row an item, from its top-level fields: numbers, texts, true and false as 1 and 0, null, and
/// nested values as JSON text. The table is made with the types of the first batch, and columns are
/// added as they appear; after that SQLite's own rules of affinity say how a value is stored. Names
/// that differ only in case are one column. An integer that does not fit 64 bits fails its item.
///
/// Rows and marks are committed in one transaction: table `_brigade_marks(pipeline, source, epoch,
/// low, above)` is what a restart resumes from, so no row is lost or repeated. With `dedupe` the
/// items' keys are kept in `_brigade_keys`, in that transaction, and a key that is there already is
/// not written again (also after `--fresh`). The database is in WAL mode, synchronous FULL.
///
/// An item that its row cannot be made of, or that breaks a constraint, fails for good. A database
/// that is locked for more than 5 s, full or unreachable is an outage.
///
/// The source, `by: cursor`, reads a table in the order of an integer id, behind the last it gave;
/// the id is the position. `by: claim` shares a table with others who claim: who has which row, and
/// what became of it, is in `_brigade_claims`, in the same database; the position is the claim's
/// number, the position id has the row's key. A row may be held as long as its holder lives: the
/// lease is renewed by a thread of its own. Outages are waited out, in `mode: once` for 5 minutes.
#pragma once

namespace brigade {

class registry;

/// Adds the sink and the source `sqlite`.
void register_sqlite(registry& to);

}  // namespace brigade
