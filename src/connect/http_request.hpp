// A request as the source `http` reads it: bytes in, a posted body or a refusal out. Knows nothing
// of sockets. Whatever two readers could understand differently (where a body ends, above all) is
// refused, and then nothing behind it is read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

/// What is asked of a request.
struct http_rules {
  std::string path = "/";
  std::vector<std::string> tokens = {};  ///< one of them must be shown; none: nobody is asked
  std::size_t body_bytes_max = std::size_t{8} << 20;
  std::size_t header_bytes_max = std::size_t{16} << 10;
};

/// How a request that is no posting is answered; the connection then ends.
struct http_refusal {
  unsigned status = 400;
  std::string error = {};
  std::string headers = {};  ///< whole lines, CRLF behind each
};

enum class http_body_kind : std::uint8_t { json, ndjson };

struct http_request {
  http_body_kind kind = http_body_kind::json;
  std::string body;
  std::string key;  ///< of the header Idempotency-Key, without quotes; empty: none was given
  bool keep_alive = false;
  bool is_http_10 = false;
};

class http_request_reader {
 public:
  /// `rules` outlives it.
  explicit http_request_reader(const http_rules& rules);
  ~http_request_reader();

  enum class state : std::uint8_t { nothing_yet, header, body, complete, refused };
  /// Reads on; gives how many bytes it has used. What is left is given again with more behind it,
  /// or belongs to the next request. After `complete` and `refused` call `next` first.
  std::size_t feed(std::string_view bytes);
  [[nodiscard]] state at() const { return state_; }
  /// True once, when the client waits for `100 Continue` before it sends the body.
  [[nodiscard]] bool take_wants_continue();
  /// The body so far.
  [[nodiscard]] std::size_t body_bytes() const { return request_.body.size(); }
  [[nodiscard]] bool is_head() const { return is_head_; }

  [[nodiscard]] http_request take_request() { return std::move(request_); }
  [[nodiscard]] const http_refusal& refusal() const { return refusal_; }
  /// Begins the next request of the connection.
  void next();

 private:
  class parser;
  bool parse_part(std::string_view bytes, std::size_t& used);
  void judge_header();
  void judge_posting();
  void refuse(unsigned status, std::string error, std::string headers = {});
  [[nodiscard]] bool names_path(std::string_view target) const;

  const http_rules& rules_;
  std::unique_ptr<parser> parser_;
  http_request request_;
  http_refusal refusal_;
  state state_ = state::nothing_yet;
  std::size_t header_bytes_ = 0;  ///< read of it
  bool wants_continue_ = false;
  bool is_head_ = false;
};

/// Whether `given` is one of `tokens`, in a time that does not depend on how much of it is right.
[[nodiscard]] bool is_token(std::string_view given, const std::vector<std::string>& tokens);

}  // namespace brigade
