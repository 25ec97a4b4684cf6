/// One connection to an HTTP/1.1 server, with or without TLS: a request after the other.
///
/// Whoever uses it sets the time limits, by cancelling. A connection on which something failed, or
/// was cancelled, is good for nothing more and is dropped.
/// Thread safety: the loop's thread. Lifetime: ends before the loop does.
#pragma once
#include "connect/http_answer.hpp"
#include "connect/http_url.hpp"

#include <brigade/async/task.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace boost::asio::ssl {
class context;
}

namespace brigade::http {

/// There is no connection; nothing was asked.
class unreachable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The connection ended in the middle: the far side may have done what it was asked, or not.
class broken : public std::runtime_error {
 public:
  broken(const std::string& why, bool answer_began)
      : std::runtime_error(why), answer_began_(answer_began) {}
  [[nodiscard]] bool answer_began() const { return answer_began_; }

 private:
  bool answer_began_;
};

/// What is sent: all of the header with its empty line, and the body.
struct request {
  std::string head;
  std::string_view body = {};
  bool repeatable = false;  ///< to do it twice does no harm
};

class connection {
 public:
  virtual ~connection() = default;

  /// Resolves the name on a thread, tries its addresses (the next one after 250 ms, beside those
  /// under way), and shakes hands. Throws `unreachable`.
  static task<std::unique_ptr<connection>> open(address to,
                                                std::shared_ptr<boost::asio::ssl::context> tls);

  /// Throws `broken`. A body of the answer over `body_bytes_max` is not read: `answer::is_cut`.
  /// `what` stays until the end.
  virtual task<answer> ask(const request& what, std::size_t body_bytes_max) = 0;
  /// After `ask`: both sides want to go on.
  [[nodiscard]] virtual bool goes_on() const = 0;
  /// While nothing is asked: the far side has neither closed it nor said anything.
  [[nodiscard]] virtual bool is_quiet() = 0;
};

}  // namespace brigade::http
