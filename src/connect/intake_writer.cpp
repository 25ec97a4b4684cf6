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
#include <stdexcept>
#include <utility>

namespace brigade {
namespace {

// How much of what was just written is kept for whoever reads, so that it is not read again.
constexpr std::size_t ready_bytes_max = std::size_t{16} << 20;
// How long those who shared the last commit are waited for: a small part of what a sync takes.
constexpr std::chrono::microseconds gathering{200};

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
  while (true) {
    std::string why;
    try {
      if (refused != 0) store_->find_room(refused, trim_to);
      store_->write(batch.entries, trim_to, batch.where);
      return true;
    } catch (const intake_disk_full& error) {
      why = error.what();
    } catch (const std::exception& error) {
      fail(error.what());
      return false;
    }
    refused = std::max(refused, batch.cost());
    if (!wait_for_disk(batch, why, trim_to)) return false;
  }
}

bool intake_journal::implementation::wait_for_disk(commit_batch& batch, const std::string& why,
                                                   std::uint64_t& trim_to) {
  const std::uint64_t cost = batch.cost();
  const std::size_t entries = batch.entries.size();
  std::vector<answer> refused = batch.refuse();
  std::unique_lock lock(mutex_);
  under_way_ -= cost - batch.cost();
  unwritten_ -= entries - batch.entries.size();
  disk_full_ = true;
  now_full(why);
  post([refused = std::move(refused)](implementation& self) mutable {
    self.settle(std::move(refused));
  });
  const bool ends = work_.wait_for(lock, options_.full_retry_after, [&] { return closing_; });
  trim_to = trim_to_;  // what was finished meanwhile gives room
  return !ends;
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
    if (has_room(options_.bytes_max / 16)) {
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
    ready_bytes_ += entry.payload.size();
    ready_end_ = batch.where[at].position + 1;
    ready_.push_back({batch.where[at].position, std::move(entry.payload), std::move(entry.id)});
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
