/// fault_proxy: a TCP connection that goes wrong when a test says so.
///
///     fault_proxy wire(server_port);                    // connect to wire.port() instead
///     wire.strike(proxy_fault::reset);                  // now
///     wire.strike_next(proxy_fault::cut);               // the connection that comes next
///     wire.strike_after(1000, proxy_fault::silence);    // when 1000 more bytes have gone through
///     wire.heal();
///
/// Listens on 127.0.0.1, on a free port which stays its own until it goes, and takes each
/// connection on to `target_port` there. Bytes keep their order; an end (FIN) is passed on when
/// what came before it has been, a reset at once. A target that cannot be reached shows as a reset.
/// A direction holds at most 256 KiB: who sends more waits, as with a real far side that is slow.
///
/// Thread safety: all of it from any thread. A call that returns has taken effect: the sockets are
/// closed, or the rule holds for each byte after it. The work is done on a thread of its own.
/// Throws std::system_error when no socket can be had. Lifetime: whoever is connected is reset at
/// its end.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace brigade::testing {

enum class proxy_fault : std::uint8_t {
  cut,      ///< both sides see an end (FIN), as of a program that went in peace
  reset,    ///< both sides see a reset (RST), as of one that crashed
  silence,  ///< from now on nothing goes through, and nobody is told; connections are accepted,
            ///< and silent too. What was sent meanwhile goes on when it is healed.
  refuse,   ///< as `reset`, and connections are refused, as where nobody listens
};

/// Which bytes `strike_after` counts.
enum class proxy_way : std::uint8_t { both, to_target, from_target };

struct proxy_counts {
  std::uint64_t connections = 0;  ///< accepted, since the beginning
  std::uint64_t open = 0;         ///< of these, now
  std::uint64_t to_target = 0;    ///< bytes passed on
  std::uint64_t from_target = 0;
  std::uint64_t strikes = 0;  ///< faults that have struck, by command, count or connection
};

class fault_proxy {
 public:
  explicit fault_proxy(std::uint16_t target_port);
  ~fault_proxy();
  fault_proxy(const fault_proxy&) = delete;
  fault_proxy& operator=(const fault_proxy&) = delete;

  [[nodiscard]] std::uint16_t port() const;

  /// Each byte arrives this much later, both ways. Zero: at once.
  void delay(std::chrono::milliseconds by);
  /// So many bytes a second pass, in each direction of each connection. Zero: as many as come.
  void throttle(std::uint64_t bytes_per_second);

  /// All connections there are, now; `silence` and `refuse` last until `heal`.
  void strike(proxy_fault what);
  /// As `strike`, when exactly `bytes` more have gone through, over all connections. One such rule
  /// at a time: the last one given.
  void strike_after(std::uint64_t bytes, proxy_fault what, proxy_way counted = proxy_way::both);
  /// The connection that comes next, alone; with `refuse`, as `strike` at that time.
  void strike_next(proxy_fault what);
  /// Ends silence, refusal, delay and throttling, and forgets what was still to strike.
  /// Connections that are there go on.
  void heal();

  [[nodiscard]] proxy_counts counts() const;
  /// Waits until the counts are as wanted; false: they were not, for so long.
  [[nodiscard]] bool wait_for(const std::function<bool(const proxy_counts&)>& wanted,
                              std::chrono::milliseconds within = std::chrono::seconds(10)) const;

 private:
  class wire;
  std::unique_ptr<wire> wire_;
};

}  // namespace brigade::testing
