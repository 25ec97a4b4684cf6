/// Health and metrics of a run over HTTP: /livez, /readyz, /metrics (Prometheus), /status (JSON).
///
///   auto board = std::make_shared<status_board>();
///   run_observer watching;
///   watching.board = board;
///   ready.observe(watching);                            // a ready_pipeline, or a plan's observer
///   admin_server admin(admin_options("127.0.0.1:9464"), [board] { return board->look(); });
///   ready.run();
///
/// It listens from its construction to its destruction, on a thread of its own that asks for a
/// status with each request: a loop that is busy, or never turns again, does not keep it from
/// answering. Elsewhere than on loopback it wants a token, and always a `Host` that is its own (a
/// page in a browser must not reach it by a name that it made up). It changes nothing: GET and
/// HEAD.
///
/// Thread safety: construct and destroy on one thread; the function given is called on the server's
/// own, one call at a time. Signals never reach that thread.
#pragma once
#include <brigade/pipeline/status.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace brigade {

struct admin_options {
  explicit admin_options(std::string listen_) : listen(std::move(listen_)) {}
  std::string listen;   ///< `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`; port 0: any
  std::string token{};  ///< empty: none is asked for
  std::vector<std::string> hosts{};  ///< names by which it is called, beside its address
  std::chrono::milliseconds stuck_after{60'000};  ///< see `liveness`
};

/// Throws config_error for what cannot be meant so, with the field it is about.
void check_admin_options(const admin_options& options);

class admin_server {
 public:
  /// Throws config_error, and std::runtime_error when it cannot listen (the address is in use).
  admin_server(const admin_options& options, std::function<run_status()> look);
  ~admin_server();
  admin_server(const admin_server&) = delete;
  admin_server& operator=(const admin_server&) = delete;

  /// Where it listens: `127.0.0.1:9464`, with the real port.
  [[nodiscard]] std::string address() const;

 private:
  class implementation;
  std::unique_ptr<implementation> impl_;
};

}  // namespace brigade
