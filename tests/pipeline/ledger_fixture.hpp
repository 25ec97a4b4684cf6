/// What the tests of the ledger share: a folder of their own, settlements, and a look into the
/// file.
#pragma once
#include <brigade/pipeline/ledger.hpp>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace brigade {

inline const std::vector<std::string> one_file = {"main:8f3a"};

inline mark mark_of(std::uint64_t low, std::vector<mark::range> above,
                    std::vector<mark::part> parts = {}) {
  mark result;
  result.low = low;
  result.above = std::move(above);
  result.parts = std::move(parts);
  return result;
}

/// An item of ten bytes at `begin`.
inline settlement settled(std::uint64_t begin, outcome result = outcome::delivered) {
  settlement item;
  item.id = one_file[0] + ":" + std::to_string(begin);
  item.begin = begin;
  item.end = begin + 10;
  item.result = result;
  item.stage = "receipts";
  item.attempts = 1;
  item.taken_at = wall_time(std::chrono::milliseconds(1'700'000'000'123));
  item.settled_at = wall_time(std::chrono::milliseconds(1'700'000'001'456));
  return item;
}

inline settlement child(std::uint64_t begin, const std::string& path,
                        outcome result = outcome::delivered) {
  settlement item = settled(begin, result);
  item.part = path;
  item.id += "/" + path;
  return item;
}

inline settlement dead(std::uint64_t begin, const std::string& error,
                       const std::string& payload = "{}") {
  settlement item = settled(begin, outcome::dead_lettered);
  item.stage = "charge";
  item.attempts = 2;
  item.error = error;
  for (int attempt = 1; attempt <= 2; ++attempt) {
    item.failed_attempts.push_back({"charge", attempt, 3, error, item.settled_at});
  }
  item.dead = std::make_unique<letter>();
  item.dead->payload = payload;
  item.dead->source_payload = "source of " + payload;
  item.dead->stage_index = 1;
  return item;
}

/// The letter with this number, replayed.
inline settlement replayed(std::uint64_t number, settlement item) {
  item.begin = number;
  item.end = number + 1;
  item.replay_of = item.id;
  return item;
}

template <class... Settlements>
std::vector<settlement> batch(Settlements... items) {
  std::vector<settlement> result;
  (result.push_back(std::move(items)), ...);
  return result;
}

class ledger_test : public testing::Test {
 protected:
  ledger_test() {
    std::string name = (std::filesystem::temp_directory_path() / "ledger_test_XXXXXX").string();
    folder_ = mkdtemp(name.data());
    file_ = folder_ / "state" / "orders.ledger.db";
  }
  ~ledger_test() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  [[nodiscard]] ledger_options options() const {
    ledger_options result(file_, "orders");
    result.source_fingerprint = "file orders.ndjson";
    result.id_expression = ".order_id";
    result.full_retry_after = std::chrono::milliseconds(1);
    return result;
  }

  /// Opens, records the batches as one run each with a report, and closes.
  template <class... Batches>
  void run_through(const ledger_options& with, Batches... batches) {
    const auto account = ledger::open(with);
    account->begin_run();
    (account->record(std::move(batches), one_file, {}), ...);
    account->end_run(report{});
  }

  /// The rows of a query, `|` between columns and a newline behind each; NULL is empty.
  [[nodiscard]] std::string query(const std::string& sql) const {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(file_.c_str(), &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 5000);
    std::string text;
    const auto add_row = [](void* to, int columns, char** values, char**) {
      for (int column = 0; column < columns; ++column) {
        if (column > 0) *static_cast<std::string*>(to) += '|';
        if (values[column] != nullptr) *static_cast<std::string*>(to) += values[column];
      }
      *static_cast<std::string*>(to) += '\n';
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), add_row, &text, nullptr), SQLITE_OK)
        << sql << ": " << sqlite3_errmsg(database);
    sqlite3_close(database);
    return text;
  }

  /// What `open` throws; a failure of the test when it does not.
  [[nodiscard]] std::string refusal(const ledger_options& with) const {
    try {
      const auto opened = ledger::open(with);
    } catch (const ledger_error& error) {
      return error.what();
    }
    return "(not refused)";
  }

  std::filesystem::path folder_;
  std::filesystem::path file_;
};

/// Waits for what a ledger calls back.
class heard {
 public:
  explicit heard(ledger& from) {
    from.on_durable = [this](std::uint64_t number) { tell([&] { durable_ = number; }); };
    from.on_failed = [this](const std::string& error) {
      tell([&] { failures_.push_back(error); });
    };
    from.on_full = [this](const std::string& what) { tell([&] { full_.push_back(what); }); };
  }
  void wait_durable(std::uint64_t number) {
    wait([&] { return durable_ >= number; });
  }
  void wait_failed() {
    wait([&] { return !failures_.empty(); });
  }
  void wait_full(std::size_t times) {
    wait([&] { return full_.size() >= times; });
  }
  [[nodiscard]] std::uint64_t durable() { return read(durable_); }
  [[nodiscard]] std::vector<std::string> failures() { return read(failures_); }
  [[nodiscard]] std::vector<std::string> full() { return read(full_); }

 private:
  template <class Value>
  Value read(const Value& value) {
    const std::lock_guard lock(mutex_);
    return value;
  }
  template <class Change>
  void tell(Change change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }
  template <class Condition>
  void wait(Condition condition) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), condition));
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t durable_ = 0;
  std::vector<std::string> failures_;
  std::vector<std::string> full_;  ///< what was full, and nothing for room again
};

}  // namespace brigade
