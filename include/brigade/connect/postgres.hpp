/// PostgreSQL: the sink `postgres`, exactly once.
///
/// A row an item, from its top-level fields. Rows and marks are committed in one transaction: table
/// `_brigade_marks(pipeline, source, epoch, low, above)` is what a restart resumes from, so no row
/// is lost or repeated. A COMMIT whose answer was lost is looked up there before anything is
/// written again. The pipeline's marks belong to one session at a time, by an advisory lock.
///
/// An item that its row cannot be made of, or that breaks a constraint, also a deferred one, fails
/// for good, alone. Serialization failures and deadlocks repeat the batch. A server that is down,
/// starting, read-only or out of connections is an outage.
#pragma once

namespace brigade {

class registry;

/// Adds the sink `postgres`.
void register_postgres(registry& to);

}  // namespace brigade
