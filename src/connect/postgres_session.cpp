// The part of the writer that connects: for the first time, and again.
#include "connect/postgres_writer.hpp"

#include <brigade/async/timeout.hpp>

#include <charconv>
#include <cstdint>
#include <stdexcept>

namespace brigade::postgres {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds patience_step{100};
// How often the lock is asked for behind a loss, before it is an outage.
constexpr int patience_again = 30;

// A server that is about to answer, or a session that is about to end, is waited for as long as a
// connection.
std::int64_t steps_of(const connect_options& where) {
  return connect_limit(where).value_or(where.connect_timeout) / patience_step;
}

// Another kind of sink may have been here before; its token says nothing.
std::uint64_t recorded(std::string_view token) {
  std::uint64_t sum = 0;
  const char* const end = token.data() + token.size();
  const auto [stop, error] = std::from_chars(token.data(), end, sum);
  return error == std::errc{} && stop == end ? sum : 0;
}

bool is_starting(const error& why) {
  return std::string_view(why.what()).find("the database system is") != std::string_view::npos;
}

task<bool> is_read_only(connection& base) {
  const result mode = co_await base.query("SHOW transaction_read_only");
  co_return mode.text(0, 0) == "on";
}

}  // namespace

// --- the first time ---

task<std::vector<partition_mark>> writer::open(const sink_resume& resume) {
  marks_.emplace(table_.beside("_brigade_marks"), resume);
  std::string problem;
  try {
    connection base = co_await connect_first();
    const bool cannot_write = co_await is_read_only(base);
    if (cannot_write) throw std::runtime_error("it is read-only (a standby?)");
    co_await wait_for_lock(base);
    co_await base.script("BEGIN");
    co_await marks_->prepare(base);
    if (options_.dedupe) {
      co_await base.script("CREATE TABLE IF NOT EXISTS " + loading_.keys +
                           " (\"table\" text NOT NULL, key text NOT NULL, PRIMARY KEY "
                           "(\"table\", key))");
    }
    co_await check_history(base, resume);
    co_await table_.load(base);
    co_await base.script("COMMIT");
    last_pid_ = base.backend_pid();
    base_.emplace(std::move(base));
    co_return known_.decode();
  } catch (const std::runtime_error& why) {  // errors of PostgreSQL's among them
    problem = why.what();
  }
  throw std::runtime_error("cannot open " + label_ + ": " + problem);
}

task<connection> writer::connect_first() {
  for (std::int64_t left = steps_of(options_.where);; --left) {
    try {
      auto attempt = connection::open(options_.where);
      co_return co_await std::move(attempt);
    } catch (const error& why) {
      if (!is_starting(why) || left <= 0) throw;
    }
    co_await sleep_for(patience_step);
  }
}

// Who was killed a moment ago may still have its session.
task<> writer::wait_for_lock(connection& base) {
  for (std::int64_t left = steps_of(options_.where); left > 0; --left) {
    const bool is_ours = co_await marks_->lock(base);
    if (is_ours) co_return;
    co_await sleep_for(patience_step);
  }
  const std::string owner = co_await marks_->owner(base);
  throw std::runtime_error("another program writes there as this pipeline (" + owner +
                           "): stop it, or give one of the two another name");
}

task<> writer::check_history(connection& base, const sink_resume& resume) {
  known_ = co_await marks_->read(base);
  if (resume.has_history && known_.rows.empty()) {
    throw std::runtime_error("it holds no marks of the pipeline '" + resume.pipeline +
                             "', but items were delivered to it: the database was replaced or "
                             "emptied, or the table's schema is another; restore it, or run with "
                             "--fresh to begin again");
  }
  static_cast<void>(known_.decode());  // throws where they are damaged
  if (known_.covered() < recorded(resume.token)) {
    throw std::runtime_error(
        "it is older than what the ledger knows of it (restored from a backup, or a standby that "
        "had not got all?), so rows would be missing for good; bring back the newer one, or run "
        "with --fresh to begin again");
  }
}

// --- again ---

// Behind a loss the marks say what was committed. They can be no others than those that were known,
// or were to be: nobody else has the lock.
task<> writer::reconnect() {
  std::optional<error> failed;
  base_.reset();
  staged_for_.reset();
  try {
    connection base = co_await connection::open(options_.where);
    const bool cannot_write = co_await is_read_only(base);
    if (cannot_write) throw sink_down(label_ + ": it is read-only (a standby?)");
    co_await take_lock_again(base);
    mark_rows found = co_await marks_->read(base);
    if (found != known_ && found != uncertain_) {
      throw fatal_error(label_ +
                        ": its marks are not those this run has written: another program wrote "
                        "them, or it is an older database (a standby that had not got all?); run "
                        "again");
    }
    co_await table_.load(base);
    known_ = std::move(found);
    uncertain_.reset();
    last_pid_ = base.backend_pid();
    base_.emplace(std::move(base));
  } catch (const error& why) {
    failed.emplace(why);
  }
  if (!failed) co_return;
  if (failed->sqlstate() == "42P01") throw_for_engine(*failed);
  throw sink_down(label_ + ": " + failed->what());
}

task<> writer::take_lock_again(connection& base) {
  for (int tries = 0; tries < patience_again; ++tries) {
    const bool is_ours = co_await marks_->lock(base);
    if (is_ours) co_return;
    // Its own session, which has not noticed yet that nobody is there any more.
    co_await marks_->end_owner(base, last_pid_);
    co_await sleep_for(patience_step);
  }
  const std::string owner = co_await marks_->owner(base);
  throw sink_down(label_ + ": another session writes as this pipeline (" + owner + ")");
}

}  // namespace brigade::postgres
