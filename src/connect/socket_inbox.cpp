#include "connect/socket_inbox.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/outside_hold.hpp>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <utility>

namespace brigade {
namespace {

// Little, since it is lost with the process: about what a window takes at once.
constexpr std::size_t frames_max = 1024;
constexpr std::size_t bytes_max = std::size_t{4} << 20;

std::vector<intake_entry> entries_of(std::vector<std::string> frames) {
  std::vector<intake_entry> entries(frames.size());
  for (std::size_t n = 0; n < frames.size(); ++n) entries[n].payload = std::move(frames[n]);
  return entries;
}

class memory_inbox final : public socket_inbox {
 public:
  task<> wanted() override {
    while (!taking_ || !is_empty()) {
      room_.clear();
      co_await room_.wait();
    }
  }
  task<> put(std::vector<std::string> frames) override {
    {
      const std::lock_guard lock(mutex_);
      push(frames);
    }
    arrived_.set();
    co_return;
  }

  bool offer(std::vector<std::string> frames, const std::stop_token& stop) override {
    std::unique_lock lock(mutex_);
    if (!room_for_threads_.wait(lock, stop, [&] { return has_room(); })) return false;
    push(frames);
    // A wake-up that is on its way will find these, too.
    if (std::exchange(told_, true)) return true;
    box_->post([alive = std::weak_ptr(alive_)] {
      if (const auto self = alive.lock()) (*self)->told();
    });
    return true;
  }

  task<std::vector<intake_item>> take(std::size_t items_max) override {
    struct takes {
      bool& now;
      ~takes() { now = false; }
    } const at_end{taking_};
    taking_ = true;
    while (true) {
      std::vector<intake_item> items = take_now(items_max);
      if (!items.empty()) co_return items;
      room_.set();
      arrived_.clear();
      co_await arrived_.wait();
    }
  }
  std::vector<intake_item> take_rest() override {
    return take_now(std::numeric_limits<std::size_t>::max());
  }

  [[nodiscard]] std::uint64_t lost() const override {
    const std::lock_guard lock(mutex_);
    return frames_.size();
  }
  void trim(std::uint64_t) override {}
  [[nodiscard]] std::uint64_t unfinished(const mark&) const override { return 0; }
  task<> close() override { co_return; }

 private:
  [[nodiscard]] bool has_room() const { return frames_.size() < frames_max && bytes_ < bytes_max; }
  [[nodiscard]] bool is_empty() const {
    const std::lock_guard lock(mutex_);
    return frames_.empty();
  }
  void push(std::vector<std::string>& frames) {
    for (std::string& each : frames) {
      bytes_ += each.size();
      frames_.push_back(std::move(each));
    }
  }
  void told() {
    {
      const std::lock_guard lock(mutex_);
      told_ = false;
    }
    arrived_.set();
  }
  std::vector<intake_item> take_now(std::size_t items_max) {
    std::vector<intake_item> items;
    const std::lock_guard lock(mutex_);
    while (!frames_.empty() && items.size() < items_max) {
      bytes_ -= frames_.front().size();
      items.push_back({next_++, std::move(frames_.front()), {}});
      frames_.pop_front();
    }
    if (has_room()) room_for_threads_.notify_one();
    return items;
  }

  const std::shared_ptr<detail::mailbox> box_ = loop::current().mailbox();
  const std::shared_ptr<memory_inbox*> alive_ = std::make_shared<memory_inbox*>(this);
  event arrived_{"frames from a socket"};
  event room_{"somebody who takes frames"};
  bool taking_ = false;  ///< the loop's
  mutable std::mutex mutex_;
  std::condition_variable_any room_for_threads_;
  std::deque<std::string> frames_;
  std::size_t bytes_ = 0;
  std::uint64_t next_ = 0;
  bool told_ = false;
};

class journal_inbox final : public socket_inbox {
 public:
  explicit journal_inbox(std::unique_ptr<intake_journal> journal) : journal_(std::move(journal)) {}

  task<> wanted() override { co_return; }
  task<> put(std::vector<std::string> frames) override {
    auto adding = journal_->append(entries_of(std::move(frames)));
    co_await std::move(adding);
  }
  bool offer(std::vector<std::string> frames, const std::stop_token& stop) override {
    return journal_->offer(entries_of(std::move(frames)), stop);
  }
  task<std::vector<intake_item>> take(std::size_t items_max) override {
    return journal_->read(items_max);
  }
  std::vector<intake_item> take_rest() override { return {}; }  // it stays where it is
  [[nodiscard]] std::uint64_t lost() const override { return journal_->unwritten(); }
  void trim(std::uint64_t low) override { journal_->trim(low); }
  [[nodiscard]] std::uint64_t unfinished(const mark& done) const override {
    return journal_->unfinished(done);
  }
  task<> close() override { return journal_->close(); }

 private:
  std::unique_ptr<intake_journal> journal_;
};

}  // namespace

std::unique_ptr<socket_inbox> make_memory_inbox() { return std::make_unique<memory_inbox>(); }

std::unique_ptr<socket_inbox> make_journal_inbox(std::unique_ptr<intake_journal> journal) {
  return std::make_unique<journal_inbox>(std::move(journal));
}

}  // namespace brigade
