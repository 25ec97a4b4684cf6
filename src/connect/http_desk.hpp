// Where requests become items and outcomes become answers: the part of the source `http` that lies
// between its connections and the engine. Knows nothing of sockets.
//
// A request with a key is known by it: a second one with the same key waits for the same items, or
// is told what became of them. Those that ended last are remembered; of earlier ones, and of
// earlier runs, the ledger tells.
//
// Thread safety: the loop's thread.
#pragma once
#include "connect/http_request.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/source.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
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

/// What became of an item.
struct http_result {
  outcome what = outcome::delivered;
  std::string error = {};
};

/// What is recorded of items of earlier, in the order of their ids. Throws when it cannot be read.
using http_memory =
    std::function<task<std::vector<std::optional<http_result>>>(std::vector<std::string> ids)>;

struct http_desk_options {
  std::string name = "http";       ///< of the source
  std::size_t backlog = 10'000;    ///< items that may wait for room in the pipeline
  std::size_t items_max = 10'000;  ///< of one request
  std::chrono::milliseconds reply_timeout{30'000};
  http_memory memory = {};  ///< none: only what this run remembers
};

class http_desk {
 public:
  /// How long nobody may take what waits until newcomers are sent away.
  static constexpr std::chrono::seconds patience{1};

  http_desk(http_desk_options options, std::string partition);

  /// Takes a request's items, and waits for their outcomes.
  ///
  /// Completes:  with its answer.
  /// Cancelled:  throws `cancelled`; its items stay in work.
  [[nodiscard]] task<http_answer> post(http_request request);

  /// The next items, as soon as there are any, at most `items_max`.
  [[nodiscard]] task<std::vector<source_item>> take(std::size_t items_max);
  void settled(const settled_item& what);
  /// From now on nothing is taken; what nobody took yet is answered.
  void stop();
  /// It is over: of what is still in work nothing more will be heard.
  void give_back();
  [[nodiscard]] bool is_stopping() const { return stopping_; }

 private:
  struct posting;
  using posting_ptr = std::shared_ptr<posting>;
  struct place {
    posting_ptr of;
    std::size_t index;
  };

  [[nodiscard]] task<posting_ptr> keyed(posting_ptr fresh);
  [[nodiscard]] task<> remember(posting_ptr fresh);
  [[nodiscard]] static task<> until_over(posting_ptr what);
  [[nodiscard]] task<http_answer> reply(posting_ptr to);
  void admit(const posting_ptr& what);
  void conclude(const posting_ptr& what);
  void refuse(const posting_ptr& what, http_answer answer);
  void withdraw(const posting_ptr& what);
  [[nodiscard]] bool is_full(const posting& newcomer) const;
  [[nodiscard]] source_item give(const posting_ptr& from, std::size_t index);
  [[nodiscard]] std::string id_of(const posting& of, std::size_t index) const;
  [[nodiscard]] http_answer answer_of(const posting& of) const;
  void append_item(std::string& to, const posting& of, std::size_t index, unsigned status) const;

  http_desk_options options_;
  std::string partition_;
  std::deque<posting_ptr> queue_;  ///< with items that nobody took yet
  std::size_t queued_items_ = 0;
  std::size_t queued_bytes_ = 0;
  detail::time_point moved_{};  ///< when something was taken, or began to wait alone
  event arrived_{"items posted by HTTP"};
  std::uint64_t next_ = 0;
  std::unordered_map<std::uint64_t, place> in_work_;
  std::unordered_map<std::string, posting_ptr> keys_;
  std::deque<posting_ptr> ended_;  ///< those of them that are over, oldest first
  std::size_t ended_items_ = 0;
  bool somebody_takes_ = false;  ///< is about to
  bool stopping_ = false;
};

}  // namespace brigade
