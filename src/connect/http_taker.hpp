// Who takes what the connections of the source `http` bring, and what such a taker says.
#pragma once
#include "connect/http_request.hpp"

#include <brigade/async/task.hpp>
#include <brigade/pipeline/outcome.hpp>
#include <brigade/pipeline/payload.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

struct http_answer {
  unsigned status = 200;
  std::string body = {};   ///< JSON
  bool try_later = false;  ///< with a Retry-After
};

/// An answer that is one error.
[[nodiscard]] http_answer http_error(unsigned status, std::string_view error,
                                     bool try_later = false);
constexpr std::string_view http_is_stopping = "the pipeline is stopping, and did not take this";

/// What became of an item.
struct http_result {
  outcome what = outcome::delivered;
  std::string error = {};
};

/// 200: never send it again. 422: it will never do. 503: it was not done; send it again.
[[nodiscard]] unsigned http_status_of(outcome what);
/// Whether an item with this outcome is not taken a second time under its key.
[[nodiscard]] bool is_final(outcome what);

/// What is recorded of items of earlier, in the order of their ids. Throws when it cannot be read.
using http_memory =
    std::function<task<std::vector<std::optional<http_result>>>(std::vector<std::string> ids)>;
/// What an item is called by itself; empty: nothing.
using http_item_id = std::function<std::string(const payload& item)>;

/// The part of an item's id behind the source's name, of the key of its request: `key-...`, and of
/// what it is called by itself: `id-...`, or its SHA-256, where that is too long to be kept.
[[nodiscard]] std::string http_id_of_key(std::string_view key);
[[nodiscard]] std::string http_id_of_item(std::string_view called);

/// Appends what is said of an item.
struct http_said {
  std::optional<std::string_view> id;
  unsigned status = 200;
  std::string_view outcome;
  std::string_view error = {};
};
void append_said(std::string& to, const http_said& what);
constexpr std::size_t http_error_bytes_max = 1000;  ///< more is cut off

class http_taker {
 public:
  virtual ~http_taker() = default;
  /// Takes a request's items.
  ///
  /// Completes:  with its answer.
  /// Cancelled:  throws `cancelled`; what was taken of it stays taken.
  [[nodiscard]] virtual task<http_answer> post(http_request request) = 0;
  /// From now on nothing is taken.
  [[nodiscard]] virtual bool is_stopping() const = 0;
};

}  // namespace brigade
