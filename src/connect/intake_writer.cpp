/// The journal's thread.
///
///   writing --disk full--> waiting --room--> writing
///      |                      |
///      +---- other error -----+---- closing ----> over
///      +---- closing and nothing queued --------> over
#include "connect/intake_journal_state.hpp"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <ranges>
#include <stdexcept>
#include <utility>

namespace brigade {
namespace {

// How much of what was just written is kept for whoever reads, so that it is not read again.
constexpr std::size_t ready_bytes_max = std::size_t{16} << 20;
// How long those who shared the last commit are waited for: a small part of what a sync takes.
constexpr std::chrono::microseconds gathering{200};
// A full disk is one that has no room for so much; for what is larger it may just be too small.
constexpr std::uint64_t small_cost = std::uint64_t{64} << 10;

}  // namespace

void intake_journal::implementation::run() {
  // Signals belong to the thread that waits for them.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);

  std::uint64_t trim_to = 0;
  while (auto batch = next_batch(trim_to)) {
    if (!commit(*batch, trim_to)) break;
    committed(std::move(*batch));
  }
  store_.reset();
  post([](implementation& self) { self.over_.set(); });
}

// The next entries, or only something to trim; nothing: the end.
std::optional<intake_detail::commit_batch> intake_journal::implementation::next_batch(
    std::uint64_t& trim_to) {
  std::unique_lock lock(mutex_);
  work_.wait(lock, [&] { return !queue_.empty() || closing_ || trim_is_due(); });
  if (!queue_.empty() && queue_.size() < gather_) {
    work_.wait_for(lock, gathering, [&] { return queue_.size() >= gather_ || closing_; });
  }
  if (abandoned_ || (queue_.empty() && !trim_is_due())) return std::nullopt;
  if (!queue_.empty()) gather_ = queue_.size();
  std::optional<commit_batch> batch(std::in_place);
  while (!queue_.empty()) {
    batch->add(std::move(queue_.front()));
    queue_.pop_front();
  }
  trim_to = trim_is_due() ? trim_to_ : 0;  // it costs pages, so not with every commit
  return batch;
}

// False: it is over.
bool intake_journal::implementation::commit(commit_batch& batch, std::uint64_t trim_to) {
  std::uint64_t refused = 0;  // what its room is looked for, when nobody waits any more
  bool is_alone = false;      // there may be room for others
  while (true) {
    std::string why;
    try {
      if (refused != 0) store_->find_room(refused, trim_to);
      if (is_alone) {
        refuse_alone(batch);
      } else {
        store_->write(batch.entries, trim_to, batch.where);
      }
      return true;
    } catch (const intake_disk_full& error) {
      why = error.what();
    } catch (const std::exception& error) {
      fail(error.what());
      return false;
    }
    if (can_trim_more(trim_to) || put_back_half(batch)) continue;
    is_alone = refused == 0 && batch.cost() > small_cost && batch.requests.front().may_be_refused;
    refused = std::max(refused, std::min(batch.cost(), small_cost));
    if (is_alone) continue;
    if (!wait_for_disk(batch, why, trim_to)) return false;
  }
}

/// What was finished since gives room.
bool intake_journal::implementation::can_trim_more(std::uint64_t& trim_to) {
  const std::lock_guard lock(mutex_);
  if (trim_to_ <= std::max(trim_to, trimmed_)) return false;
  trim_to = trim_to_;
  return true;
}

/// What has no room together may have room one after the other, and what is small beside what is
/// not. False: it is only one.
bool intake_journal::implementation::put_back_half(commit_batch& batch) {
  if (batch.requests.size() < 2) return false;
  commit_batch back = batch.split();
  const std::lock_guard lock(mutex_);
  for (request& each : back.take_apart() | std::views::reverse) {
    queue_.push_front(std::move(each));
  }
  return true;
}

/// It is too large for what is left, and nobody else need wait.
void intake_journal::implementation::refuse_alone(commit_batch& batch) {
  const std::lock_guard lock(mutex_);
  disk_full_ = true;
  refuse(batch);
  batch.was_refused = true;
}

/// With the lock.
void intake_journal::implementation::refuse(commit_batch& batch) {
  under_way_ -= batch.cost();
  unwritten_ -= batch.entries.size();
  std::vector<answer> refused = batch.refuse();
  under_way_ += batch.cost();
  unwritten_ += batch.entries.size();
  post([refused = std::move(refused)](implementation& self) mutable {
    self.settle(std::move(refused));
  });
}

bool intake_journal::implementation::wait_for_disk(commit_batch& batch, const std::string& why,
                                                   std::uint64_t& trim_to) {
  std::unique_lock lock(mutex_);
  disk_full_ = true;
  now_full(why);
  refuse(batch);
  refuse_queued();
  const bool ends = work_.wait_for(lock, options_.full_retry_after, [&] { return closing_; });
  trim_to = trim_to_;
  return !ends;
}

/// Who came just before it was full would wait else.
void intake_journal::implementation::refuse_queued() {
  commit_batch queued;
  for (request& each : std::exchange(queue_, {})) queued.add(std::move(each));
  refuse(queued);
  for (request& each : queued.take_apart()) queue_.push_back(std::move(each));
}

void intake_journal::implementation::committed(commit_batch batch) {
  std::vector<answer> answers = batch.answers();
  {
    const std::lock_guard lock(mutex_);
    durable_ticket_ = std::max(durable_ticket_, batch.last_ticket);
    under_way_ -= batch.cost();
    unwritten_ -= batch.entries.size();
    stored_ = store_->bytes();
    trimmed_ = store_->trimmed();
    keep_for_reader(batch);
    durable_end_ = store_->next();
    if (!batch.was_refused && has_room(options_.bytes_max / 16)) {
      room_wanted_ = false;
      not_full();
    }
    room_for_threads_.notify_all();
  }
  post([answers = std::move(answers)](implementation& self) mutable {
    self.settle(std::move(answers));
  });
}

void intake_journal::implementation::keep_for_reader(commit_batch& batch) {
  if (ready_end_ != durable_end_) return;  // it reads from the file what is before
  for (std::size_t at = 0; at < batch.where.size(); ++at) {
    if (ready_bytes_ > ready_bytes_max) return;
    if (batch.where[at].known) continue;
    intake_entry& entry = batch.entries[at];
    ready_end_ = batch.where[at].position + 1;
    ready_.push_back({batch.where[at].position, std::move(entry.payload), std::move(entry.id)});
    ready_bytes_ += intake_detail::bytes_of(ready_.back());
  }
}

void intake_journal::implementation::fail(const std::string& why) {
  store_->never_write_again();
  const std::lock_guard lock(mutex_);
  failed_ = why;
  room_for_threads_.notify_all();
  post([why](implementation& self) { self.all_failed(why); });
}

}  // namespace brigade
