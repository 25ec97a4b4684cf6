/// One batch of the sink `http`: sent, and what became of each item.
///
/// Each item ends as delivered, as failed, or as held: then no item is to blame, `sink_down` is
/// thrown, and the next delivery of the same batch goes on where this one stopped.
#pragma once
#include "connect/http_batch.hpp"
#include "connect/http_judge.hpp"
#include "connect/http_settings.hpp"

#include <brigade/pipeline/sink.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace brigade::http {

/// How far an item is.
struct item_state {
  enum class kind : std::uint8_t { waiting, delivered, failed };
  kind now = kind::waiting;
  std::optional<failure> why = {};      ///< of one that failed
  std::optional<failure> unclear = {};  ///< what came of the last try of one that waits
};

/// The far side, as the sink knows it from batch to batch.
struct far_side {
  explicit far_side(client_settings settings_) : settings(std::move(settings_)) {}
  client_settings settings;
  body_format format = body_format::json;
  std::size_t in_flight = 1;  ///< requests at once, with one item each
  std::unique_ptr<sender> to = {};

  judge opinion = {};
  bool in_doubt = false;  ///< the last batch met no success: one item goes ahead of the next
  std::size_t scout = 0;  ///< which one, in turns
  std::chrono::steady_clock::time_point not_before{};  ///< it asked for a rest
  std::string rest_reason = {};
  /// Of a batch that was not finished.
  std::vector<std::string> held_keys = {};
  std::vector<item_state> held = {};
};

class delivery {
 public:
  delivery(far_side& to, std::span<const sink_item> batch);
  /// Throws sink_down. Cancelled: the connections are dropped; what was delivered is remembered.
  task<write_result> run();

 private:
  void take_up_held();
  [[nodiscard]] std::vector<std::size_t> waiting() const;
  [[nodiscard]] bool stopped() const;
  [[nodiscard]] addressed how_addressed() const;

  task<> send_scout();
  task<> send_all();
  task<> send_one_by_one();
  /// In one request; in halves when that is refused, or fails though the far side works.
  task<> send_together(std::vector<std::size_t> these);
  /// True: divide them.
  task<bool> attempt(std::vector<std::size_t>& these);

  [[nodiscard]] std::string body_of(std::vector<std::size_t>& these);
  [[nodiscard]] std::optional<std::string> target_for(std::size_t item);
  [[nodiscard]] std::string key_for(const std::vector<std::size_t>& these) const;

  [[nodiscard]] bool understand(const answer& got, const std::vector<std::size_t>& these);
  void take_statuses(const answer& got, const std::vector<item_status>& all,
                     const std::vector<std::size_t>& these);
  bool all_unclear(const failure& why, const std::vector<std::size_t>& these);
  void delivered(std::size_t item);
  void failed(std::size_t item, failure why);
  void unclear(std::size_t item, failure why);
  void be_away(const std::string& why);
  void rest(milliseconds time, const std::string& why);
  void works();
  [[nodiscard]] write_result finish();

  far_side& far_;
  std::span<const sink_item> batch_;
  std::vector<item_state> items_;
  std::size_t next_ = 0;     ///< of those sent one by one
  bool is_away_ = false;     ///< there is nobody, or nobody has time: whatever the items are
  std::string down_;         ///< why nothing more is sent
  bool has_worked_ = false;  ///< in this delivery
};

}  // namespace brigade::http
