/// What the journal's two sides share: the loop, and the thread that writes.
#pragma once
#include "connect/guarded.hpp"
#include "connect/intake_journal.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/outside_hold.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

namespace brigade {
namespace intake_detail {

using places = std::vector<intake_place>;
using guarded_reader = guarded<intake_reader>;

struct request {
  std::uint64_t ticket = 0;
  std::vector<intake_entry> entries;
  std::uint64_t cost = 0;
  bool may_be_refused = false;
};

/// What became of a request; without places: there was no room.
struct answer {
  std::uint64_t ticket = 0;
  std::optional<places> where;
};

/// The entries of several requests in a row, for one transaction.
struct commit_batch {
  std::vector<request> requests;
  std::vector<intake_entry> entries;
  places where;
  std::uint64_t last_ticket = 0;
  bool was_refused = false;  ///< alone

  void add(request each) {
    last_ticket = each.ticket;
    for (intake_entry& entry : each.entries) entries.push_back(std::move(entry));
    requests.push_back(std::move(each));
  }
  /// The requests, with their entries.
  std::vector<request> take_apart() {
    auto from = entries.begin();
    for (request& each : requests) {
      for (intake_entry& entry : each.entries) entry = std::move(*from++);
    }
    entries.clear();
    return std::exchange(requests, {});
  }
  /// Keeps the first half of the requests.
  commit_batch split() {
    std::vector<request> all = take_apart();
    commit_batch back;
    const std::size_t kept = all.size() / 2;
    for (std::size_t at = 0; at < all.size(); ++at) {
      (at < kept ? *this : back).add(std::move(all[at]));
    }
    return back;
  }
  /// Takes those out that would rather be refused than wait.
  std::vector<answer> refuse() {
    std::vector<answer> refused;
    commit_batch kept;
    kept.last_ticket = last_ticket;
    auto entry = entries.begin();
    for (request& each : requests) {
      const auto count = static_cast<std::ptrdiff_t>(each.entries.size());
      if (each.may_be_refused) {
        refused.push_back({each.ticket, std::nullopt});
      } else {
        kept.entries.insert(kept.entries.end(), std::make_move_iterator(entry),
                            std::make_move_iterator(entry + count));
        kept.requests.push_back(std::move(each));
      }
      entry += count;
    }
    *this = std::move(kept);
    return refused;
  }
  [[nodiscard]] std::vector<answer> answers() const {
    std::vector<answer> all;
    all.reserve(requests.size());
    auto place = where.begin();
    for (const request& each : requests) {
      const auto count = static_cast<std::ptrdiff_t>(each.entries.size());
      all.push_back({each.ticket, places(place, place + count)});
      place += count;
    }
    return all;
  }
  [[nodiscard]] std::uint64_t cost() const {
    std::uint64_t sum = 0;
    for (const request& each : requests) sum += each.cost;
    return sum;
  }
};

/// What an item takes of the memory.
inline std::size_t bytes_of(const intake_item& item) {
  return sizeof(item) + item.payload.size() + item.id.size();
}

struct opened_file {
  std::unique_ptr<intake_store> store;
  std::shared_ptr<guarded_reader> reader;
};

}  // namespace intake_detail

class intake_journal::implementation {
 public:
  using places = intake_detail::places;
  using request = intake_detail::request;
  using answer = intake_detail::answer;
  using commit_batch = intake_detail::commit_batch;

  implementation(intake_options options, intake_detail::opened_file file);
  ~implementation();

  task<std::optional<places>> append(std::vector<intake_entry> entries, when_full then);
  bool offer(std::vector<intake_entry> entries, const std::stop_token& stop);
  task<> flushed();
  std::optional<std::string> full();
  bool disk_is_full();
  std::uint64_t unfinished(const mark& done);
  void start(const mark& done);
  task<std::vector<intake_item>> read(std::size_t items_max);
  void trim(std::uint64_t low);
  task<> close();
  std::uint64_t unwritten();

  const std::string token;
  intake_journal* outside = nullptr;  ///< whose callbacks these are

 private:
  enum class admission : std::uint8_t { queued, full, busy };

  // --- on the loop ---
  void settle(std::vector<answer> answers);
  void all_failed(const std::string& why);
  void forget(std::uint64_t ticket);
  void throw_if_over();
  template <class Work>
  void post(Work work);

  // --- with the lock ---
  admission admit(request& made);
  [[nodiscard]] bool has_room(std::uint64_t cost) const;
  [[nodiscard]] bool trim_is_due() const;
  void now_full(const std::string& why);
  void not_full();

  // --- on the writer's thread ---
  void run();
  std::optional<commit_batch> next_batch(std::uint64_t& trim_to);
  bool commit(commit_batch& batch, std::uint64_t trim_to);
  bool can_trim_more(std::uint64_t& trim_to);
  bool put_back_half(commit_batch& batch);
  void refuse_alone(commit_batch& batch);
  void refuse(commit_batch& batch);
  void refuse_queued();
  bool wait_for_disk(commit_batch& batch, const std::string& why, std::uint64_t& trim_to);
  void committed(commit_batch batch);
  void keep_for_reader(commit_batch& batch);
  void fail(const std::string& why);

  const intake_options options_;
  const std::shared_ptr<detail::mailbox> box_;
  std::unique_ptr<intake_store> store_;  ///< the thread's, once there is one
  std::shared_ptr<intake_detail::guarded_reader> reader_;
  std::thread thread_;

  // The loop's.
  std::shared_ptr<implementation*> alive_;
  std::unordered_map<std::uint64_t, promise<std::optional<places>>> waiting_;
  std::optional<outside_hold> hold_;  ///< while there are some
  event durable_{"the journal's next commit"};
  event room_{"room in the journal"};
  event over_{"the end of the journal"};
  mark done_;

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable_any room_for_threads_;
  std::deque<request> queue_;
  std::size_t gather_ = 1;  ///< how many requests the writer waits for, for a moment
  std::uint64_t last_ticket_ = 0;
  std::uint64_t durable_ticket_ = 0;
  std::uint64_t under_way_ = 0;  ///< cost of what is queued or being written
  std::uint64_t unwritten_ = 0;  ///< entries of that
  std::uint64_t stored_ = 0;     ///< cost of what is in the file
  std::uint64_t trim_to_ = 0;
  std::uint64_t trimmed_ = 0;
  bool room_wanted_ = false;  ///< somebody was refused
  bool closing_ = false;
  bool abandoned_ = false;  ///< what is queued is not written any more
  bool disk_full_ = false;
  std::string full_;    ///< why
  std::string failed_;  ///< why
  std::deque<intake_item> ready_;
  std::size_t ready_bytes_ = 0;
  std::uint64_t cursor_ = 1;       ///< what is read next
  std::uint64_t ready_end_ = 1;    ///< behind the last of `ready_`
  std::uint64_t durable_end_ = 1;  ///< behind the last that can be read
};

/// Runs on the loop, unless the journal has gone by then.
template <class Work>
void intake_journal::implementation::post(Work work) {
  box_->post([alive = std::weak_ptr(alive_), work = std::move(work)]() mutable {
    if (const auto self = alive.lock()) work(**self);
  });
}

}  // namespace brigade
