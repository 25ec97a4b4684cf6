// Where requests become entries of an intake journal, which are durable when they are answered:
// the source `http` with `reply: accepted`. Many requests share a commit. Knows nothing of sockets.
//
// Items with an id (by the key of their request, or by what they are called themselves) are taken
// once: the ledger is asked for those that are over, and the journal knows those it holds, and
// those that ended not long ago.
//
// Thread safety: the loop's thread.
#pragma once
#include "connect/http_taker.hpp"
#include "connect/intake_journal.hpp"

#include <brigade/connect/record.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace brigade {

struct http_journal_desk_options {
  std::string name = "http";       ///< of the source
  std::size_t items_max = 10'000;  ///< of one request
  std::chrono::milliseconds reply_timeout{30'000};
  http_memory memory = {};    ///< none: only what the journal knows
  http_item_id item_id = {};  ///< none: items have no id of their own
};

class http_journal_desk final : public http_taker {
 public:
  http_journal_desk(http_journal_desk_options options, std::shared_ptr<intake_journal> journal);

  [[nodiscard]] task<http_answer> post(http_request request) override;
  void stop() { stopping_ = true; }
  [[nodiscard]] bool is_stopping() const override { return stopping_; }

 private:
  struct posting;
  class share;
  struct body {
    std::size_t fingerprint = 0;
    std::uint64_t number = 0;
  };
  using named_body = std::pair<std::string, std::uint64_t>;

  [[nodiscard]] std::optional<http_answer> read_items(http_request request, posting& to) const;
  [[nodiscard]] std::string own_id(record item) const;
  [[nodiscard]] std::optional<http_answer> note_bodies(posting& what);
  [[nodiscard]] bool note(const std::string& name, std::size_t fingerprint, posting& of);
  void forget(const named_body& which);
  [[nodiscard]] task<std::optional<http_answer>> remember(posting& what);
  [[nodiscard]] task<std::optional<http_answer>> keep(posting& what);
  [[nodiscard]] task<bool> append(posting& what);
  [[nodiscard]] http_answer refusal() const;
  [[nodiscard]] http_answer answer_of(const posting& what) const;

  http_journal_desk_options options_;
  std::shared_ptr<intake_journal> journal_;
  std::unordered_map<std::string, body> bodies_;  ///< by their ids
  std::deque<named_body> noted_;                  ///< of these, the oldest first
  std::uint64_t next_body_ = 1;
  std::size_t bytes_ = 0;  ///< of what waits for a commit
  bool stopping_ = false;
};

}  // namespace brigade
