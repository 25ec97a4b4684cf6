/// Stands between a client and a PostgreSQL server, and loses the connection at a COMMIT.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace brigade::test {

class postgres_proxy {
 public:
  enum class loss : std::uint8_t {
    none,
    before_commit,  ///< the server never hears of it
    after_commit,   ///< it is done, and the client never hears of that
  };
  explicit postgres_proxy(int server_port);
  ~postgres_proxy();
  postgres_proxy(const postgres_proxy&) = delete;
  postgres_proxy& operator=(const postgres_proxy&) = delete;

  [[nodiscard]] std::string conninfo() const;
  /// Of the next COMMIT.
  void lose(loss how) { next_ = how; }
  /// Whether it closes whatever connects from now on.
  void stay_away(bool does) { away_ = does; }
  [[nodiscard]] int losses() const { return losses_; }

 private:
  void serve();
  void pass(int client);

  int server_port_;
  int port_ = 0;
  int listener_ = -1;
  std::atomic<loss> next_{loss::none};
  std::atomic<int> losses_{0};
  std::atomic<bool> away_{false};
  std::atomic<bool> ends_{false};
  std::thread thread_;
};

}  // namespace brigade::test
