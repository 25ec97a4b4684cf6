// The work of a source that reads tables, with a database that is made up.
#include "connect/rows_work.hpp"

#include "connect/rows_exchange.hpp"

#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// Rows of so many bytes; remembers how much there was at most, beside what it gives.
class large_rows final : public rows::cursor_desk {
 public:
  large_rows(std::shared_ptr<rows::exchange> between, std::size_t row_bytes, std::uint64_t last,
             std::size_t& most_bytes)
      : between_(std::move(between)),
        value_("\"" + std::string(row_bytes, 'x') + "\""),
        last_(last),
        most_bytes_(most_bytes) {}
  task<> open() override { co_return; }
  task<> wait(std::chrono::milliseconds /*most*/) override { co_return; }
  task<rows::cursor_rows> next(std::uint64_t low, rows::page_limits most) override {
    rows::cursor_rows found;
    std::size_t bytes = 0;
    for (std::uint64_t id = low; id <= last_ && bytes < most.bytes && found.rows.size() < most.rows;
         ++id) {
      found.rows.emplace_back(id, std::string(), record::json(value_));
      bytes += found.rows.back().bytes();
    }
    most_bytes_ = std::max(most_bytes_, between_->stock().bytes + bytes);
    co_return found;
  }

 private:
  std::shared_ptr<rows::exchange> between_;
  std::string value_;
  std::uint64_t last_;
  std::size_t& most_bytes_;
};

task<std::size_t> take_all(rows::exchange& between) {
  co_await between.opened();
  std::size_t taken = 0;
  for (;;) {
    const std::vector<rows::row> some = co_await between.take(3);
    if (some.empty()) break;
    taken += some.size();
  }
  between.ask_to_stop();
  co_return taken;
}

/// The most bytes there were.
std::size_t most_held(std::size_t row_bytes, std::uint64_t rows_there) {
  const auto between = std::make_shared<rows::exchange>();
  std::size_t most = 0;
  auto main = [&]() -> task<> {
    std::size_t taken = 0;
    task_group both("both sides");
    auto body = [&](task_group& tasks) -> task<> {
      rows::work_options options;
      auto desk = std::make_unique<large_rows>(between, row_bytes, rows_there, most);
      tasks.spawn(&rows::work_with_cursor, between, std::move(options), std::move(desk));
      taken = co_await take_all(*between);
    };
    co_await both.run(body);
    EXPECT_EQ(taken, rows_there + 1);
  };
  run(main());
  EXPECT_EQ(between->stock().rows, 0U);
  EXPECT_EQ(between->stock().bytes, 0U);
  return most;
}

// The guard is `has_room`: in rows alone all of them would be there at once.
TEST(rows_work, holds_a_bounded_number_of_bytes_whatever_rows_have) {
  EXPECT_LE(most_held(mebibyte, 200), 17 * mebibyte);
  EXPECT_GT(most_held(mebibyte, 200), 4 * mebibyte);
  EXPECT_LE(most_held(20 * mebibyte, 5), 41 * mebibyte);
  EXPECT_LE(most_held(10, 40'000), 4 * mebibyte);
}

TEST(rows_work, gives_up_after_as_long_as_it_is_told) {
  rows::exchange between;
  rows::outage_book patient(between, "orders", 0ms);
  for (int i = 0; i < 1000; ++i) patient.failed(rows::outage_book::fetching, "away");
  rows::outage_book book(between, "orders", 5ms);
  const auto began = std::chrono::steady_clock::now();
  std::string why;
  while (why.empty()) {
    try {
      book.failed(rows::outage_book::fetching, "away");
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
  }
  EXPECT_GE(std::chrono::steady_clock::now() - began, 5ms);
  EXPECT_EQ(why, "away; for 0 s now");
  book.worked(rows::outage_book::fetching);
  EXPECT_NO_THROW(book.failed(rows::outage_book::fetching, "away"));
}

}  // namespace
}  // namespace brigade
