/// HTTP: the source `http`, that others post items to, and the stage and the sink `http`.
///
/// The source answers a request when its items' outcomes are durable: whoever got a 200 need never
/// send the item again, and whoever got none sends it again, under the same `Idempotency-Key`.
/// A client waits as long as it likes; the server holds a request for `reply_timeout` and then says
/// 504, the outcome is unknown, while the item stays in work. See docs/http.md.
#pragma once

namespace brigade {

class registry;

/// Adds the source `http`.
void register_http(registry& to);

}  // namespace brigade
