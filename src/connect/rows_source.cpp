#include "connect/rows_source.hpp"

#include "connect/rows_work.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <random>
#include <utility>

namespace brigade::rows {
namespace {

// For outcomes that are still to be written, and what is given back; the program is ended 4 s after
// the deadline of a stop. What is not done by then the next run does, or the end of the lease.
constexpr std::chrono::milliseconds close_within{2500};

std::string drawn_name() {
  std::random_device chance;
  std::array<char, 17> text{};
  const unsigned high = chance();
  const unsigned low = chance();
  std::snprintf(text.data(), text.size(), "%08x%08x", high, low);
  return text.data();
}

// The thread's whole life.
void serve(const std::shared_ptr<exchange>& between, const work_options& options,
           const desk_makers& makers) {
  try {
    loop own;
    own.set_slow_step_limit(std::chrono::nanoseconds(0));  // it may block
    if (options.table.by == reading::claim) {
      own.run(work_with_claims(between, options, makers.claim()));
    } else {
      own.run(work_with_cursor(between, options, makers.cursor()));
    }
  } catch (...) {
    between->fail(std::current_exception());
  }
  between->say_ended();
}

}  // namespace

rows_source::rows_source(table_options options, std::string fingerprint, desk_makers makers)
    : options_(std::move(options)),
      fingerprint_(std::move(fingerprint)),
      makers_(std::move(makers)) {}

rows_source::~rows_source() {
  if (!thread_.joinable()) return;
  between_->abandon();
  thread_.join();
}

task<> rows_source::open(std::vector<partition_mark> resume, std::string state) {
  if (claims()) holder_ = state.empty() ? drawn_name() : std::move(state);
  partitions_.push_back(claims() ? options_.source + ":" + holder_ : options_.front());
  mark done;
  for (partition_mark& known : resume) {
    if (known.partition == partitions_.front()) done = std::move(known.at);
  }
  done_ = done;
  start(std::move(done));
  co_await between_->opened();
}

void rows_source::start(mark done) {
  between_ = std::make_shared<exchange>();
  work_options work{options_, std::move(done), holder_};
  thread_ = std::thread(serve, between_, std::move(work), makers_);
}

task<std::vector<source_item>> rows_source::read(std::size_t items_max) {
  std::vector<source_item> items;
  while (items.empty()) {
    std::vector<row> rows = co_await between_->take(items_max);
    if (rows.empty()) break;
    add_items(items, std::move(rows));
  }
  co_return items;
}

void rows_source::add_items(std::vector<source_item>& items, std::vector<row> rows) {
  items.reserve(rows.size());
  const std::string front = claims() ? options_.front() + ":" : std::string();
  for (row& each : rows) {
    if (!claims() && done_.finished(each.number)) continue;
    items.emplace_back(payload(std::move(each.value)), 0, each.number, each.number + 1);
    if (claims()) items.back().id = front + each.id;
    items.back().undecodable = std::move(each.undecodable);
  }
}

// What could be decoded is JSON.
std::optional<std::string> rows_source::decode(payload& value) const {
  if (value.get<record>().what() == record::shape::json) return std::nullopt;
  return "a row that is no JSON text; correct it in its table, where it can be taken again";
}

// A row in doubt stays claimed, as after a kill: the next run has the sink's marks, by which it
// finishes the row or gives it again. Given back, it would come under another number.
void rows_source::settled(const settled_item& what) {
  if (what.in_doubt) return between_->keep_claims();
  between_->settle(settled_row(what.begin, to_string(what.result), std::string(what.stage),
                               std::string(what.error)));
}

task<> rows_source::close() {
  if (!thread_.joinable()) co_return;
  between_->ask_to_stop();
  bool in_time = true;
  try {
    co_await timeout(close_within, between_->ended());
  } catch (const timed_out&) {
    in_time = false;
  }
  if (in_time) {
    thread_.join();
  } else {
    thread_.detach();  // it owns what it uses
  }
}

}  // namespace brigade::rows
