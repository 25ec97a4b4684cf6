/// Sockets: the source `socket`, which listens on TCP, UDP or a Unix socket; docs/sockets.md.
///
/// Nobody can be asked again for what came in by a socket. With a `journal` an item is on the disk
/// before anything else is done with it, and a restart goes on with what is there; its position id
/// is `<source>:<token of the journal>:<number>`. Without, what is under way is lost when the
/// process is killed, and the token is another one each run.
///
/// A stream that is not read fast enough is not read on: its sender has to wait, for as long as it
/// likes. Datagrams are dropped by the kernel then, which counts them; the count is logged.
///
/// However a connection ends, a last line without its newline is an item. A message with a length
/// before it that is not all there is none; it is logged.
#pragma once

namespace brigade {

class registry;

/// Adds the source `socket`.
void register_socket(registry& to);

}  // namespace brigade
