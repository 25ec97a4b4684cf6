/// The ledger's thread: batches queue up while it writes, and it takes all of them at once.
///
///   writing --disk full--> waiting --room--> writing
///      |                      |
///      +---- other error -----+---- close, hurry ----> over (nothing is written any more)
///      +---- closed and nothing queued -------> over
#include "pipeline/ledger_schema.hpp"
#include "pipeline/ledger_store.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/pipeline/ledger.hpp>

#include <pthread.h>
#include <sqlite3.h>

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace brigade {

using ledger_detail::database_error;
using ledger_detail::explained;
using ledger_detail::queued_batch;

class ledger::writer {
 public:
  explicit writer(const ledger_options& options) : store_(std::in_place, options) {}
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  ~writer() { close(); }

  [[nodiscard]] ledger_detail::ledger_store& idle_store() {
    BRIGADE_ASSERT(!thread_.joinable(), "ledger: a call that belongs before begin_run");
    BRIGADE_ASSERT(store_.has_value(), "ledger: a call after close");
    return *store_;
  }

  std::uint64_t begin_run(const ledger& callbacks) {
    const std::uint64_t run = idle_store().begin_run();
    thread_ = std::thread([this, &callbacks] { loop(callbacks); });
    return run;
  }

  [[nodiscard]] bool keeps_delivered() const { return store_->options().mode == ledger_mode::full; }

  std::uint64_t record(settled_batch batch, const std::vector<std::string>& partitions,
                       std::vector<sink_token> tokens) {
    const std::lock_guard lock(mutex_);
    names_.insert(names_.end(),
                  partitions.begin() +
                      static_cast<std::ptrdiff_t>(std::min(names_.size(), partitions.size())),
                  partitions.end());
    queue_.push_back({++last_, std::move(batch), std::move(tokens)});
    changed_.notify_all();
    return last_;
  }

  void end_run(const report& account) {
    std::unique_lock lock(mutex_);
    BRIGADE_ASSERT(thread_.joinable(), "ledger: end_run without begin_run");
    end_ = &account;
    changed_.notify_all();
    changed_.wait(lock, [&] { return end_ == nullptr || over_; });
    if (std::exchange(end_, nullptr) != nullptr) throw ledger_error(why_over_);
  }

  void hurry() {
    const std::lock_guard lock(mutex_);
    hurried_ = true;
    changed_.notify_all();
  }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
    store_.reset();
  }

 private:
  /// What there is to do next. With nothing in it: the end.
  struct work {
    std::vector<queued_batch> batches;
    std::vector<std::string> names;
    const report* end = nullptr;
  };

  work wait_for_work() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !queue_.empty() || end_ != nullptr || closing_; });
    work next;
    next.batches.swap(queue_);
    next.names = names_;
    if (next.batches.empty()) next.end = end_;
    return next;
  }

  void loop(const ledger& callbacks) {
    // Signals belong to the thread that waits for them.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);

    std::string why = store_->options().path.string() + ": closed";
    while (true) {
      const work next = wait_for_work();
      if (next.batches.empty() && next.end == nullptr) break;
      std::vector<repeated_id> repeated;
      const auto failed = write_when_there_is_room(callbacks, [&] {
        store_->name_partitions(next.names);
        if (!next.batches.empty()) repeated = store_->write(next.batches);
        if (next.end != nullptr) store_->end_run(*next.end);
      });
      if (failed) {
        why = *failed;
        store_->never_write_again();
        stop(why);
        if (callbacks.on_failed) callbacks.on_failed(why);
        return;
      }
      tell(callbacks, next, repeated);
    }
    stop(why);
  }

  /// Nothing when it was written, else why it never will be.
  template <class Write>
  std::optional<std::string> write_when_there_is_room(const ledger& callbacks, Write write) {
    bool was_full = false;
    std::string why;
    std::string what;  // is full
    while (true) {
      try {
        write();
        if (was_full && callbacks.on_full) callbacks.on_full({});
        return std::nullopt;
      } catch (const database_error& error) {
        why = explained(store_->options().path, error).what();
        if (error.code() != SQLITE_FULL) return why;
        what = store_->options().path.string() + ": the ledger's disk is full";
      } catch (const ledger_detail::no_room& error) {
        why = what = error.what();
      } catch (const std::exception& error) {
        return store_->options().path.string() + ": " + error.what();
      }
      if (!std::exchange(was_full, true) && callbacks.on_full) callbacks.on_full(what);
      if (ends_while_waiting()) return why;
    }
  }

  bool ends_while_waiting() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, store_->options().full_retry_after,
                             [&] { return closing_ || hurried_; });
  }

  void tell(const ledger& callbacks, const work& done, const std::vector<repeated_id>& repeated) {
    if (done.end != nullptr) {
      const std::lock_guard lock(mutex_);
      end_ = nullptr;
      changed_.notify_all();
    }
    if (!done.batches.empty() && callbacks.on_durable) {
      callbacks.on_durable(done.batches.back().number);
    }
    if (callbacks.on_repeated_id) {
      for (const repeated_id& each : repeated) callbacks.on_repeated_id(each);
    }
  }

  void stop(std::string why) {
    const std::lock_guard lock(mutex_);
    why_over_ = std::move(why);
    over_ = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<queued_batch> queue_;
  std::vector<std::string> names_;  ///< of partitions, by index
  std::uint64_t last_ = 0;          ///< number of the batch queued last
  const report* end_ = nullptr;     ///< what an `end_run` waits for
  bool closing_ = false;
  bool hurried_ = false;  ///< a full disk is not waited out any more
  bool over_ = false;
  std::string why_over_;

  std::optional<ledger_detail::ledger_store> store_;  ///< the thread's, once there is one
  std::thread thread_;
};

ledger::ledger(std::unique_ptr<writer> made) : writer_(std::move(made)) {}
ledger::~ledger() { close(); }

std::unique_ptr<ledger> ledger::open(const ledger_options& options) {
  return std::unique_ptr<ledger>(new ledger(std::make_unique<writer>(options)));
}

resume_point ledger::resume() const { return writer_->idle_store().resume(); }

void ledger::reconcile(std::span<const partition_mark> sink_marks) {
  writer_->idle_store().reconcile(sink_marks);
}

void ledger::keep(std::string_view source_state, std::span<const sink_token> first_tokens) {
  writer_->idle_store().keep(source_state, first_tokens);
}

std::uint64_t ledger::begin_run() { return writer_->begin_run(*this); }

std::uint64_t ledger::record(settled_batch batch, const std::vector<std::string>& partitions,
                             std::vector<sink_token> tokens) {
  return writer_->record(std::move(batch), partitions, std::move(tokens));
}

bool ledger::keeps_delivered() const { return writer_->keeps_delivered(); }

void ledger::hurry() { writer_->hurry(); }
void ledger::end_run(const report& account) { writer_->end_run(account); }
void ledger::close() { writer_->close(); }

}  // namespace brigade
