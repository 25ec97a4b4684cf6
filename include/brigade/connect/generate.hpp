/// Items out of nothing, for trying a pipeline and for measuring it: source `generate`.
///
/// Items are numbered from 1, and an item's number is its position: `<source>:<number>`. So the
/// source can be asked again: a restart makes the items that are not finished, and no others.
#pragma once

namespace brigade {

class registry;

/// Adds the source `generate`.
void register_generate(registry& to);

}  // namespace brigade
