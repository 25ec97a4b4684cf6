#include "connect/intake_journal.hpp"

#include "connect/intake_journal_state.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/async/thread.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace brigade {
namespace {

using intake_detail::guarded_reader;
using intake_detail::opened_file;
using intake_detail::places;
using intake_detail::request;

constexpr std::size_t read_bytes_max = std::size_t{4} << 20;
// What is trimmed waits for this many items, unless room is short.
constexpr std::uint64_t trim_together = 1024;

std::vector<intake_item> read_rows(intake_reader& from, const std::uint64_t& position,
                                   const std::size_t& items_max) {
  return from.read(position, items_max, read_bytes_max);
}

opened_file open_file(const intake_options& options) {
  opened_file opened;
  opened.store = std::make_unique<intake_store>(options.file, options.ids_kept);
  opened.reader = std::make_shared<guarded_reader>(options.file);
  return opened;
}

}  // namespace

intake_journal::implementation::implementation(intake_options options, opened_file file)
    : token(file.store->token()),
      options_(std::move(options)),
      box_(loop::current().mailbox()),
      store_(std::move(file.store)),
      reader_(std::move(file.reader)),
      alive_(std::make_shared<implementation*>(this)) {}

intake_journal::implementation::~implementation() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = abandoned_ = true;
    work_.notify_all();
    room_for_threads_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

// --- producers ---

bool intake_journal::implementation::has_room(std::uint64_t cost) const {
  const std::uint64_t used = stored_ + under_way_;
  return used == 0 || used + cost <= options_.bytes_max;
}

// Takes the entries out of `made` when they are queued.
intake_journal::implementation::admission intake_journal::implementation::admit(request& made) {
  if (!full_.empty() && made.may_be_refused) return admission::full;
  if (!has_room(made.cost)) {
    room_wanted_ = true;
    // One that is too large is refused alone.
    if (!made.may_be_refused || !has_room(options_.bytes_max / 16)) {
      now_full(options_.file.string() + ": the journal has reached its " +
               std::to_string(options_.bytes_max) + " bytes");
    }
    if (trim_is_due()) work_.notify_one();
    return admission::full;
  }
  if (under_way_ != 0 && under_way_ + made.cost > options_.queue_bytes_max) return admission::busy;
  under_way_ += made.cost;
  unwritten_ += made.entries.size();
  made.ticket = ++last_ticket_;
  queue_.push_back(std::move(made));
  if (queue_.size() == 1 || queue_.size() == gather_) work_.notify_one();
  return admission::queued;
}

namespace {

request make_request(std::vector<intake_entry> entries, bool may_be_refused) {
  request made;
  for (const intake_entry& each : entries) made.cost += intake_cost(each);
  made.entries = std::move(entries);
  made.may_be_refused = may_be_refused;
  return made;
}

}  // namespace

task<std::optional<places>> intake_journal::implementation::append(
    std::vector<intake_entry> entries, when_full then) {
  const bool may_be_refused = then == when_full::tell;
  request made = make_request(std::move(entries), may_be_refused);
  std::uint64_t ticket = 0;
  while (ticket == 0) {
    admission result = admission::queued;
    {
      const std::lock_guard lock(mutex_);
      throw_if_over();
      result = admit(made);
      if (result == admission::queued) ticket = last_ticket_;
    }
    if (result == admission::queued) break;
    if (result == admission::full && may_be_refused) co_return std::nullopt;
    const outside_hold writing;
    room_.clear();
    co_await room_.wait();
  }
  struct forgets {
    implementation& self;
    std::uint64_t ticket;
    ~forgets() { self.forget(ticket); }
  } const at_end{*this, ticket};
  if (!hold_) hold_.emplace();
  promise<std::optional<places>> told("a commit of the journal");
  const future<std::optional<places>> outcome = told.get_future();
  waiting_.emplace(ticket, std::move(told));
  co_return co_await outcome;
}

void intake_journal::implementation::forget(std::uint64_t ticket) {
  waiting_.erase(ticket);
  if (waiting_.empty()) hold_.reset();
}

bool intake_journal::implementation::offer(std::vector<intake_entry> entries,
                                           const std::stop_token& stop) {
  request made = make_request(std::move(entries), false);
  std::unique_lock lock(mutex_);
  bool queued = false;
  const auto try_it = [&] {
    if (closing_ || !failed_.empty()) return true;
    queued = admit(made) == admission::queued;
    return queued;
  };
  room_for_threads_.wait(lock, stop, try_it);
  return queued;
}

task<> intake_journal::implementation::flushed() {
  std::uint64_t wanted = 0;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      throw_if_over();
      if (wanted == 0) wanted = last_ticket_;
      if (durable_ticket_ >= wanted) co_return;
    }
    const outside_hold writing;
    durable_.clear();
    co_await durable_.wait();
  }
}

std::optional<std::string> intake_journal::implementation::full() {
  const std::lock_guard lock(mutex_);
  if (full_.empty()) return std::nullopt;
  return full_;
}

bool intake_journal::implementation::disk_is_full() {
  const std::lock_guard lock(mutex_);
  return disk_full_;
}

std::uint64_t intake_journal::implementation::unfinished(const mark& done) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t low = std::max<std::uint64_t>(done.low, 1);
  std::uint64_t left = durable_end_ - std::min(low, durable_end_);
  for (const mark::range& each : done.above) left -= std::min(each.end - each.begin, left);
  return left;
}

std::uint64_t intake_journal::implementation::unwritten() {
  const std::lock_guard lock(mutex_);
  return unwritten_;
}

void intake_journal::implementation::now_full(const std::string& why) {
  if (!full_.empty()) return;
  full_ = why;
  post([why](implementation& self) {
    if (self.outside->on_full) self.outside->on_full(why);
  });
}

void intake_journal::implementation::not_full() {
  disk_full_ = false;
  if (full_.empty()) return;
  full_.clear();
  post([](implementation& self) {
    if (self.outside->on_full) self.outside->on_full({});
  });
}

void intake_journal::implementation::throw_if_over() {
  if (!failed_.empty()) throw std::runtime_error(failed_);
  if (closing_) throw std::runtime_error(options_.file.string() + ": the journal is closed");
}

void intake_journal::implementation::settle(std::vector<answer> answers) {
  for (answer& each : answers) {
    const auto found = waiting_.find(each.ticket);
    if (found != waiting_.end()) found->second.try_set_value(std::move(each.where));
  }
  durable_.set();
  room_.set();
}

void intake_journal::implementation::all_failed(const std::string& why) {
  for (auto& [ticket, told] : waiting_) {
    told.try_set_error(std::make_exception_ptr(std::runtime_error(why)));
  }
  durable_.set();
  room_.set();
}

// --- the source ---

void intake_journal::implementation::start(const mark& done) {
  BRIGADE_ASSERT(!thread_.joinable() && store_ != nullptr, "intake_journal: started a second time");
  std::uint64_t behind = done.low;
  for (const mark::range& each : done.above) behind = std::max(behind, each.end);
  store_->skip_to(behind);
  done_ = done;
  const std::lock_guard lock(mutex_);
  cursor_ = ready_end_ = std::max<std::uint64_t>(done.low, 1);
  durable_end_ = store_->next();
  stored_ = store_->bytes();
  trim_to_ = cursor_;
  trimmed_ = store_->trimmed();
  thread_ = std::thread([this] { run(); });
}

task<std::vector<intake_item>> intake_journal::implementation::read(std::size_t items_max) {
  while (true) {
    std::vector<intake_item> items;
    std::uint64_t from = 0;
    std::uint64_t end = 0;
    bool writing = false;
    {
      const std::lock_guard lock(mutex_);
      if (!failed_.empty()) throw std::runtime_error(failed_);
      while (!ready_.empty() && items.size() < items_max) {
        ready_bytes_ -= intake_detail::bytes_of(ready_.front());
        items.push_back(std::move(ready_.front()));
        ready_.pop_front();
      }
      if (!items.empty()) cursor_ = items.back().position + 1;
      from = cursor_;
      end = durable_end_;
      writing = unwritten_ != 0;
    }
    if (!items.empty()) co_return items;
    if (from >= end) {
      std::optional<outside_hold> thread_writes;
      if (writing) thread_writes.emplace();
      durable_.clear();
      co_await durable_.wait();
      continue;
    }
    auto call = call_guarded(reader_, &read_rows, from, items_max);
    items = co_await std::move(call);
    {
      const std::lock_guard lock(mutex_);
      cursor_ = ready_end_ = items.empty() ? end : items.back().position + 1;
    }
    std::erase_if(items, [&](const intake_item& each) { return done_.finished(each.position); });
    if (!items.empty()) co_return items;
  }
}

void intake_journal::implementation::trim(std::uint64_t low) {
  const std::lock_guard lock(mutex_);
  trim_to_ = std::max(trim_to_, low);
  if (trim_is_due()) work_.notify_one();
}

bool intake_journal::implementation::trim_is_due() const {
  if (trim_to_ <= trimmed_) return false;
  return room_wanted_ || closing_ || trim_to_ - trimmed_ >= trim_together ||
         stored_ > options_.bytes_max / 2;
}

task<> intake_journal::implementation::close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    work_.notify_all();
    room_for_threads_.notify_all();
  }
  reader_.reset();  // whoever closes the file last empties its log
  room_.set();
  if (thread_.joinable()) {
    const outside_hold writing;
    co_await over_.wait();
    thread_.join();
  }
  store_.reset();
  all_failed(options_.file.string() + ": the journal is closed");
}

// --- outside ---

task<std::unique_ptr<intake_journal>> intake_journal::open(intake_options options) {
  auto call = to_thread(&open_file, options);
  opened_file file = co_await std::move(call);
  auto made = std::make_unique<implementation>(std::move(options), std::move(file));
  co_return std::unique_ptr<intake_journal>(new intake_journal(std::move(made)));
}

intake_journal::intake_journal(std::unique_ptr<implementation> made) : impl_(std::move(made)) {
  impl_->outside = this;
}
intake_journal::~intake_journal() = default;

const std::string& intake_journal::token() const { return impl_->token; }

task<std::optional<std::vector<intake_place>>> intake_journal::append(
    std::vector<intake_entry> entries, when_full then) {
  return impl_->append(std::move(entries), then);
}
bool intake_journal::offer(std::vector<intake_entry> entries, const std::stop_token& stop) {
  return impl_->offer(std::move(entries), stop);
}
task<> intake_journal::flushed() { return impl_->flushed(); }
std::optional<std::string> intake_journal::full() const { return impl_->full(); }
bool intake_journal::disk_is_full() const { return impl_->disk_is_full(); }
std::uint64_t intake_journal::unwritten() const { return impl_->unwritten(); }
std::uint64_t intake_journal::unfinished(const mark& done) const { return impl_->unfinished(done); }
void intake_journal::start(const mark& done) { impl_->start(done); }
task<std::vector<intake_item>> intake_journal::read(std::size_t items_max) {
  return impl_->read(items_max);
}
void intake_journal::trim(std::uint64_t low) { impl_->trim(low); }
task<> intake_journal::close() { return impl_->close(); }

}  // namespace brigade
