/// HTTP: the source `http`, that items are posted to, and the stage and the sink `http`.
///
/// HTTP/1.1, with or without TLS (1.2 and newer).
///
/// The source answers a request when the outcomes of its items are durable: whoever got a 200 need
/// never send them again, and whoever got no answer sends them again, under the same
/// `Idempotency-Key`. A client waits as long as it likes; the source holds a request for
/// `reply_timeout`, and then says 504: the outcome is unknown, the items stay in work.
///
/// Of stage and sink: the far side's certificate is always verified. Connections are kept and used
/// again. Redirects are not followed. Every wait has a limit: `connect_timeout` and
/// `response_timeout`. An item's key goes with its request (`Idempotency-Key`), the same in every
/// attempt, for delivery is at least once.
///
/// The stage asks for each item, and puts the answer in its place, into a field of it, or nowhere.
/// The sink sends one item a request, or a batch a request (NDJSON or a JSON array). What one
/// address does not take from anybody is an outage, and nobody's fault; an item that it refuses
/// fails for good, found by halving its batch or by the status of its own in the answer.
#pragma once

namespace brigade {

class registry;

/// Adds the source, the stage and the sink `http`.
void register_http(registry& to);

}  // namespace brigade
