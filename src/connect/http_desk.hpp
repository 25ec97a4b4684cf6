// Where requests become items and outcomes become answers: the part of the source `http` that lies
// between its connections and the engine. Knows nothing of sockets.
//
// A request with a key is known by it: a second one with the same key waits for the same items, or
// is told what became of them. Without a key an item may be known by itself, and is a posting of
// its own then, in whatever batch it comes. Those that ended last are remembered; of earlier ones,
// and of earlier runs, the ledger tells.
//
// Thread safety: the loop's thread.
#pragma once
#include "connect/http_body.hpp"
#include "connect/http_taker.hpp"

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

struct http_desk_options {
  std::string name = "http";       ///< of the source
  std::size_t backlog = 10'000;    ///< items that may wait for room in the pipeline
  std::size_t items_max = 10'000;  ///< of one request
  std::chrono::milliseconds reply_timeout{30'000};
  http_memory memory = {};    ///< none: only what this run remembers
  http_item_id item_id = {};  ///< none: items have no id of their own
};

class http_desk final : public http_taker {
 public:
  /// How long nobody may take what waits until newcomers are sent away.
  static constexpr std::chrono::seconds patience{1};

  http_desk(http_desk_options options, std::string partition);

  /// Waits for the outcomes, too.
  [[nodiscard]] task<http_answer> post(http_request request) override;

  /// The next items, as soon as there are any, at most `items_max`.
  [[nodiscard]] task<std::vector<source_item>> take(std::size_t items_max);
  void settled(const settled_item& what);
  /// From now on nothing is taken; what nobody took yet is answered.
  void stop();
  /// It is over: of what is still in work nothing more will be heard.
  void give_back();
  [[nodiscard]] bool is_stopping() const override { return stopping_; }

 private:
  struct posting;
  using posting_ptr = std::shared_ptr<posting>;
  using postings = std::vector<posting_ptr>;
  struct place {
    posting_ptr of;
    std::size_t index;
  };

  [[nodiscard]] posting_ptr begin(http_items given, std::size_t fingerprint) const;
  [[nodiscard]] postings begin_each(http_items given) const;
  [[nodiscard]] posting_ptr known_instead_of(const posting_ptr& fresh);
  [[nodiscard]] task<postings> keyed(postings all);
  [[nodiscard]] task<> remember(postings fresh);
  [[nodiscard]] static task<> until_over(const postings& all);
  [[nodiscard]] task<> wait_for(const postings& all);
  void admit(const posting_ptr& what);
  void conclude(const posting_ptr& what);
  void refuse(const posting_ptr& what, unsigned status, std::string_view error, bool try_later);
  void withdraw(const posting_ptr& what);
  [[nodiscard]] bool is_full(const posting& newcomer) const;
  [[nodiscard]] source_item give(const posting_ptr& from, std::size_t index);
  [[nodiscard]] std::string id_of(const posting& of, std::size_t index) const;
  [[nodiscard]] http_answer answer_of(const postings& all, bool is_batch) const;
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
