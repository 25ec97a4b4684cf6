#include "connect/intake_journal.hpp"

#include "connect/temporary_folder.hpp"
#include "pipeline/failing_vfs.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/process.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>
#include <malloc.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <set>
#include <thread>

namespace brigade {
namespace {

using test::temporary_folder;
using namespace std::chrono_literals;
using texts = std::vector<std::string>;

intake_entry entry(std::string payload, std::string id = {}) {
  intake_entry made;
  made.payload = std::move(payload);
  made.id = std::move(id);
  return made;
}

class intake : public ::testing::Test {
 protected:
  [[nodiscard]] intake_options options(std::uint64_t bytes_max = 1 << 30) const {
    intake_options made;
    made.file = folder_ / "in.db";
    made.bytes_max = bytes_max;
    made.full_retry_after = 1ms;
    return made;
  }
  static task<std::unique_ptr<intake_journal>> started(intake_options with) {
    mark nothing;
    return started_at(std::move(with), std::move(nothing));
  }
  static task<std::unique_ptr<intake_journal>> started_at(intake_options with, mark done) {
    auto opening = intake_journal::open(std::move(with));
    auto journal = co_await std::move(opening);
    journal->start(done);
    co_return journal;
  }
  static task<intake_place> add(intake_journal& to, std::string payload, std::string id = {}) {
    std::vector<intake_entry> one;
    one.push_back(entry(std::move(payload), std::move(id)));
    auto adding = to.append(std::move(one));
    const std::optional<std::vector<intake_place>> where = co_await std::move(adding);
    co_return where->front();
  }
  static task<bool> add_or_refuse(intake_journal& to, std::string payload) {
    std::vector<intake_entry> one;
    one.push_back(entry(std::move(payload)));
    auto adding = to.append(std::move(one), intake_journal::when_full::tell);
    const std::optional<std::vector<intake_place>> where = co_await std::move(adding);
    co_return where.has_value();
  }
  static task<texts> read(intake_journal& from, std::size_t count) {
    texts found;
    while (found.size() < count) {
      const std::vector<intake_item> some = co_await from.read(count - found.size());
      for (const intake_item& each : some) {
        found.push_back(std::to_string(each.position) + ":" + each.payload);
      }
    }
    co_return found;
  }
  // The first error of opening it, or "none".
  [[nodiscard]] std::string refusal(const std::string& name) const {
    intake_options with = options();
    with.file = folder_ / name;
    try {
      run(started(with));
    } catch (const std::exception& error) {
      const std::string text = error.what();
      return text.substr(std::min(text.size(), folder_.path().string().size() + 1));
    }
    return "none";
  }
  temporary_folder folder_;
};

TEST_F(intake, gives_in_order_what_was_appended_and_again_what_was_not_trimmed) {
  const auto first = [&]() -> task<> {
    const auto journal = co_await started(options());
    for (const char* const each : {"a", "b", "c"}) co_await add(*journal, each);
    const texts got_1 = co_await read(*journal, 3);
    EXPECT_EQ(got_1, (texts{"1:a", "2:b", "3:c"}));
    journal->trim(2);
    co_await journal->close();
  };
  run(first());
  const auto second = [&]() -> task<> {
    const auto journal = co_await started(options());
    const texts got_2 = co_await read(*journal, 2);
    EXPECT_EQ(got_2, (texts{"2:b", "3:c"}));
    journal->trim(4);
    co_await journal->close();
  };
  run(second());
  const auto third = [&]() -> task<> {
    const auto journal = co_await started(options());
    const intake_place place = co_await add(*journal, "d");
    EXPECT_EQ(place.position, 4U) << "a position is never given twice";
    const texts got_3 = co_await read(*journal, 1);
    EXPECT_EQ(got_3, (texts{"4:d"}));
    co_await journal->close();
  };
  run(third());
}

TEST_F(intake, any_bytes_survive) {
  const std::string odd("\0\xff\n caf\xe9", 8);
  const auto body = [&]() -> task<> {
    {
      const auto journal = co_await started(options());
      co_await add(*journal, odd);
      co_await add(*journal, "");
      co_await journal->close();
    }
    const auto journal = co_await started(options());
    const texts got_4 = co_await read(*journal, 2);
    EXPECT_EQ(got_4, (texts{"1:" + odd, "2:"}));
    co_await journal->close();
  };
  run(body());
}

TEST_F(intake, skips_what_the_mark_calls_finished) {
  const auto body = [&]() -> task<> {
    {
      const auto journal = co_await started(options());
      for (const char* const each : {"a", "b", "c", "d", "e"}) co_await add(*journal, each);
      co_await journal->close();
    }
    mark done;
    done.low = 2;
    done.above = {{3, 5}};
    const auto journal = co_await started_at(options(), done);
    const texts got_5 = co_await read(*journal, 2);
    EXPECT_EQ(got_5, (texts{"2:b", "5:e"}));
    co_await journal->close();
  };
  run(body());
}

// A journal that was restored from a backup: its next positions are finished elsewhere.
TEST_F(intake, gives_no_position_that_the_mark_has_already) {
  const auto body = [&]() -> task<> {
    mark done;
    done.low = 100;
    done.above = {{200, 300}};
    const auto journal = co_await started_at(options(), done);
    const intake_place place = co_await add(*journal, "new");
    EXPECT_EQ(place.position, 300U);
    const texts got_6 = co_await read(*journal, 1);
    EXPECT_EQ(got_6, (texts{"300:new"}));
    co_await journal->close();
  };
  run(body());
}

TEST_F(intake, knows_an_id_that_is_there_and_one_that_was_finished_lately) {
  const auto body = [&]() -> task<> {
    intake_options with = options();
    with.ids_kept = 3;
    {
      const auto journal = co_await started(with);
      const intake_place first = co_await add(*journal, "a", "order 1");
      EXPECT_FALSE(first.known);
      const intake_place again = co_await add(*journal, "A", "order 1");
      EXPECT_TRUE(again.known);
      EXPECT_EQ(again.position, first.position);
      const texts got_7 = co_await read(*journal, 1);
      EXPECT_EQ(got_7, (texts{"1:a"}));
      journal->trim(2);
      co_await journal->close();
    }
    const auto journal = co_await started(with);
    const intake_place later = co_await add(*journal, "A", "order 1");
    EXPECT_TRUE(later.known) << "it is finished, but not for long";
    for (const char* const each : {"b", "c", "d", "e"}) co_await add(*journal, each, each);
    const texts got_8 = co_await read(*journal, 4);
    EXPECT_EQ(got_8, (texts{"2:b", "3:c", "4:d", "5:e"}));
    journal->trim(6);
    co_await journal->close();
    const auto third = co_await started(with);
    const intake_place forgotten = co_await add(*third, "A", "order 1");
    EXPECT_FALSE(forgotten.known);
    const intake_place kept = co_await add(*third, "E", "e");
    EXPECT_TRUE(kept.known);
    co_await third->close();
  };
  run(body());
}

TEST_F(intake, many_producers_lose_and_double_nothing) {
  constexpr std::uint64_t producers = 50;
  constexpr std::uint64_t each = 40;
  const auto produce = [](intake_journal& journal, std::uint64_t number) -> task<> {
    for (std::uint64_t n = 0; n < each; ++n) {
      co_await add(journal, std::to_string(number) + "/" + std::to_string(n));
    }
  };
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options());
    std::set<std::string> seen;
    const auto consume = [&]() -> task<> {
      std::uint64_t next = 1;
      while (seen.size() < producers * each) {
        const std::vector<intake_item> some = co_await journal->read(7);
        for (const intake_item& item : some) {
          EXPECT_EQ(item.position, next++);
          EXPECT_TRUE(seen.insert(item.payload).second) << item.payload;
        }
        journal->trim(next);
      }
    };
    auto all = [&](task_group& group) {
      for (std::uint64_t n = 0; n < producers; ++n) group.spawn(produce, std::ref(*journal), n);
      group.spawn(consume);
    };
    co_await with_group(std::ref(all));
    co_await journal->close();
  };
  run(body());
}

TEST_F(intake, a_thread_may_offer_and_what_it_offered_is_durable_once_flushed) {
  const auto body = [&]() -> task<> {
    {
      const auto journal = co_await started(options());
      std::thread other([&] {
        for (int n = 0; n < 1000; ++n) {
          std::vector<intake_entry> one;
          one.push_back(entry(std::to_string(n)));
          EXPECT_TRUE(journal->offer(std::move(one), {}));
        }
      });
      other.join();
      co_await journal->flushed();
      EXPECT_EQ(journal->unwritten(), 0U);
    }  // without `close`: as if it had been killed
    const auto journal = co_await started(options());
    const texts all = co_await read(*journal, 1000);
    EXPECT_EQ(all.front(), "1:0");
    EXPECT_EQ(all.back(), "1000:999");
    co_await journal->close();
  };
  run(body());
}

TEST_F(intake, a_reader_that_falls_behind_what_is_kept_for_it_reads_the_file) {
  const std::string large(1 << 20, 'x');
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options());
    for (int n = 0; n < 40; ++n) co_await add(*journal, large);
    std::uint64_t next = 1;
    while (next <= 40) {
      const std::vector<intake_item> some = co_await journal->read(3);
      for (const intake_item& each : some) {
        EXPECT_EQ(each.position, next++);
        EXPECT_EQ(each.payload.size(), large.size());
      }
    }
    co_await add(*journal, "last");
    const texts got_9 = co_await read(*journal, 1);
    EXPECT_EQ(got_9, (texts{"41:last"}));
    co_await journal->close();
  };
  run(body());
}

// Guard: with the bytes of the payloads alone, a million items of one byte are kept.
TEST_F(intake, small_items_that_nobody_reads_take_little_memory) {
  constexpr std::size_t together = 10'000;
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options());
    const std::size_t before = mallinfo2().uordblks;
    for (int n = 0; n < 60; ++n) {
      std::vector<intake_entry> entries(together, entry("1"));
      auto adding = journal->append(std::move(entries));
      co_await std::move(adding);
    }
    EXPECT_LT(mallinfo2().uordblks - std::min(before, mallinfo2().uordblks), 28U << 20U);
    const texts last = co_await read(*journal, 60 * together);
    EXPECT_EQ(last.back(), "600000:1");
    co_await journal->close();
  };
  run(body());
}

TEST_F(intake, full_refuses_or_waits_until_something_is_trimmed) {
  const std::string kilobyte(1000, 'x');
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options(2120));
    texts told;
    journal->on_full = [&](const std::string& why) { told.push_back(why.empty() ? "room" : why); };
    co_await add(*journal, kilobyte);
    co_await add(*journal, kilobyte);
    const bool taken_11 = co_await add_or_refuse(*journal, kilobyte);
    EXPECT_FALSE(taken_11);
    EXPECT_TRUE(journal->full().has_value());
    auto waiting = spawn(add, std::ref(*journal), kilobyte, std::string());
    co_await read(*journal, 2);
    EXPECT_FALSE(waiting.done());
    journal->trim(2);
    const intake_place place = co_await waiting;
    EXPECT_EQ(place.position, 3U);
    journal->trim(3);
    co_await read(*journal, 1);
    journal->trim(4);
    co_await journal->close();
    const std::string why = (folder_ / "in.db") + ": the journal has reached its 2120 bytes";
    EXPECT_EQ(told, (texts{why, "room"}));
  };
  run(body());
}

TEST_F(intake, what_is_larger_than_all_the_room_goes_in_alone) {
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options(100));
    const std::string large(5000, 'x');
    const bool taken_12 = co_await add_or_refuse(*journal, large);
    EXPECT_TRUE(taken_12);
    const bool taken_13 = co_await add_or_refuse(*journal, "x");
    EXPECT_FALSE(taken_13);
    co_await read(*journal, 1);
    journal->trim(2);
    const intake_place place = co_await add(*journal, large);
    EXPECT_EQ(place.position, 2U);
    co_await journal->close();
  };
  run(body());
}

TEST_F(intake, a_wait_that_is_cancelled_takes_nothing_and_an_append_may_still_become_durable) {
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options());
    auto reader = spawn(read, std::ref(*journal), std::size_t{1});
    auto writer = spawn(add, std::ref(*journal), std::string("a"), std::string());
    co_await yield();
    reader.cancel();
    writer.cancel();
    int cancelled_waits = 0;
    try {
      co_await reader;
    } catch (const cancelled&) {
      ++cancelled_waits;
    }
    try {
      co_await writer;
    } catch (const cancelled&) {
      ++cancelled_waits;
    }
    EXPECT_EQ(cancelled_waits, 2);
    const texts got_10 = co_await read(*journal, 1);
    EXPECT_EQ(got_10, (texts{"1:a"}));
    co_await journal->close();
  };
  run(body());
}

TEST_F(intake, a_full_disk_refuses_or_is_waited_out) {
  const failing_vfs disk;
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options());
    event full("a full disk");
    event room("room");
    journal->on_full = [&](const std::string& why) { (why.empty() ? room : full).set(); };
    failing_vfs::be_full(true);
    const bool refused = !co_await add_or_refuse(*journal, "a");
    EXPECT_TRUE(refused);
    EXPECT_TRUE(full.is_set());
    auto waiting = spawn(add, std::ref(*journal), std::string("b"), std::string());
    auto refused_too = spawn(add_or_refuse, std::ref(*journal), std::string("c"));
    EXPECT_FALSE(co_await refused_too);
    EXPECT_FALSE(waiting.done());
    EXPECT_NE(journal->full().value_or("").find("in.db: the journal's disk is full"),
              std::string::npos);
    failing_vfs::be_full(false);
    const intake_place place = co_await waiting;
    EXPECT_EQ(place.position, 1U);
    EXPECT_TRUE(room.is_set());
    co_await journal->flushed();
    const texts all = co_await read(*journal, 1);
    EXPECT_EQ(all.front(), "1:b");
    co_await journal->close();
  };
  run(body());
}

TEST_F(intake, closed_while_the_disk_is_full_says_what_was_lost) {
  const failing_vfs disk;
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options());
    failing_vfs::be_full(true);
    auto waiting = spawn(add, std::ref(*journal), std::string("a"), std::string());
    co_await yield();
    co_await journal->close();
    std::string error;
    try {
      co_await waiting;
    } catch (const std::runtime_error& failed) {
      error = failed.what();
    }
    EXPECT_NE(error.find("in.db: the journal is closed"), std::string::npos);
    EXPECT_EQ(journal->unwritten(), 1U);
  };
  run(body());
}

// Guard taken out: with `synchronous = NORMAL` in intake_store.cpp this fails.
TEST_F(intake, nothing_is_told_before_it_is_synced) {
  const failing_vfs disk;
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options());
    for (int n = 0; n < 20; ++n) {
      co_await add(*journal, std::string(1000, 'x'));
      EXPECT_FALSE(failing_vfs::has_unsynced());
    }
    co_await journal->close();
  };
  run(body());
}

// As a cut of the power in the middle of a write leaves it: what follows the last sync is rubbish,
// or not there.
TEST_F(intake, a_torn_log_costs_nothing_that_was_told) {
  std::string file;
  std::string log;
  const auto write_five = [&]() -> task<> {
    const auto journal = co_await started(options());
    for (int n = 0; n < 5; ++n) co_await add(*journal, std::to_string(n));
    file = folder_.read("in.db");
    log = folder_.read("in.db-wal");
    co_await journal->close();
  };
  run(write_five());
  const auto expect_after = [&](const std::string& torn_log, std::size_t count) {
    const temporary_folder torn;
    torn.write("in.db", file);
    torn.write("in.db-wal", torn_log);
    const auto body = [&]() -> task<> {
      intake_options with = options();
      with.file = torn / "in.db";
      const auto journal = co_await started(with);
      const texts all = co_await read(*journal, count);
      EXPECT_EQ(all.back(), std::to_string(count) + ":" + std::to_string(count - 1));
      const intake_place next = co_await add(*journal, "next");
      EXPECT_EQ(next.position, count + 1);
      co_await journal->close();
    };
    run(body());
  };
  for (const std::size_t more : {0, 1, 24, 4000, 4120, 9000}) {
    SCOPED_TRACE(more);
    expect_after(log + std::string(more, '\x5a'), 5);
  }
  expect_after(log.substr(0, log.size() - 1), 4);
  expect_after(log.substr(0, log.size() - 4000), 4);
}

TEST_F(intake, a_failed_sync_ends_it_and_nothing_is_told_durable) {
  const failing_vfs disk;
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(options());
    co_await add(*journal, "a");
    failing_vfs::fail_syncs();
    std::string error;
    try {
      co_await add(*journal, "b");
    } catch (const std::runtime_error& failed) {
      error = failed.what();
    }
    EXPECT_NE(error.find("in.db: the journal cannot be written or read (disk I/O error"),
              std::string::npos)
        << error;
    int failures = 0;
    try {
      co_await add(*journal, "c");
    } catch (const std::runtime_error&) {
      ++failures;
    }
    try {
      co_await journal->read(1);
      co_await journal->read(1);
    } catch (const std::runtime_error&) {
      ++failures;
    }
    EXPECT_EQ(failures, 2);
    std::vector<intake_entry> more;
    more.push_back(entry("d"));
    EXPECT_FALSE(journal->offer(std::move(more), {}));
    co_await journal->close();
  };
  run(body());
  EXPECT_EQ(failing_vfs::touched_after_failure(), 0);
}

TEST_F(intake, moved_away_while_it_is_open_it_tells_nobody_that_something_is_kept) {
  for (const char* const name : {"in.db", "in.db-wal"}) {
    const auto body = [&]() -> task<> {
      const auto journal = co_await started(options());
      co_await add(*journal, "a");
      std::filesystem::rename(folder_ / name, folder_ / "away");
      std::string error;
      try {
        co_await add(*journal, "b");
      } catch (const std::runtime_error& failed) {
        error = failed.what();
      }
      EXPECT_NE(error.find("was moved away or deleted"), std::string::npos) << name << error;
      co_await journal->close();
    };
    run(body());
    std::filesystem::rename(folder_ / "away", folder_ / name);
    const auto later = [&]() -> task<> {
      const auto journal = co_await started(options());
      const texts first = co_await read(*journal, 1);
      EXPECT_EQ(first, (texts{"1:a"})) << name;
      journal->trim(2);
      co_await journal->close();
    };
    run(later());
    for (const char* const each : {"in.db", "in.db-wal"}) {
      std::filesystem::remove(folder_ / each);
    }
  }
}

TEST_F(intake, is_for_its_owner_alone_and_for_one_at_a_time) {
  const auto body = [&]() -> task<> {
    const mode_t before = ::umask(0);
    const auto journal = co_await started(options());
    ::umask(before);
    struct stat status{};
    EXPECT_EQ(::stat((folder_ / "in.db").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    std::string error;
    try {
      co_await started(options());
    } catch (const std::runtime_error& refused) {
      error = refused.what();
    }
    EXPECT_EQ(error, (folder_ / "in.db") + ": in use by process " + std::to_string(::getpid()) +
                         "; wait for it or stop it");
    co_await journal->close();
  };
  run(body());
}

TEST_F(intake, says_why_a_file_cannot_be_its_own) {
  folder_.write("rubbish.db", std::string(5000, 'x'));
  EXPECT_EQ(refusal("rubbish.db"),
            "rubbish.db: is damaged, or no intake journal at all; move it away to begin a new one "
            "(file is not a database)");
  EXPECT_EQ(refusal("gone/in.db"), "gone/in.db: there is no folder " + (folder_ / "gone") +
                                       "; make it, or name another file");
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ / "other.db").c_str(), &other), SQLITE_OK);
  sqlite3_exec(other, "CREATE TABLE t (x)", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  EXPECT_EQ(refusal("other.db"),
            "other.db: is a database but no intake journal; name another file");
}

// Appends for ever, and says on its standard output up to where it was told.
TEST_F(intake, DISABLED_helper_that_appends) {
  intake_options with = options();
  with.file = std::getenv("BRIGADE_JOURNAL");
  const auto body = [&]() -> task<> {
    const auto journal = co_await started(with);
    while (true) {
      std::vector<intake_entry> some;
      for (int n = 0; n < 5; ++n) some.push_back(entry(std::string(300, 'x')));
      auto adding = journal->append(std::move(some));
      const auto where = co_await std::move(adding);
      const std::string line = "told " + std::to_string(where->back().position) + "\n";
      if (::write(1, line.data(), line.size()) < 0) ::_exit(1);
    }
  };
  run(body());
}

// The child's numbers until it has said `enough` of them, and those it still said then.
task<std::uint64_t> kill_while_appending(std::string file, int enough) {
  process_options helper({"/proc/self/exe", "--gtest_also_run_disabled_tests",
                          "--gtest_filter=intake.DISABLED_helper_that_appends"});
  helper.env = {{"BRIGADE_JOURNAL", std::move(file)}};
  process child = co_await process::start(helper);
  std::string said;
  std::array<char, 4096> buffer{};
  bool killed = false;
  while (true) {
    const std::size_t got = co_await child.output().read_some(buffer);
    if (got == 0) break;
    said.append(buffer.data(), got);
    std::size_t count = 0;
    for (auto at = said.find("told "); at != std::string::npos; at = said.find("told ", at + 1)) {
      ++count;
    }
    if (!std::exchange(killed, killed || count >= static_cast<std::size_t>(enough)) && killed) {
      ::kill(child.id(), SIGKILL);
    }
  }
  co_await child.wait();
  const std::size_t last = said.rfind("told ", said.rfind('\n'));
  co_return std::stoull(said.substr(last + 5));
}

TEST_F(intake, a_kill_at_any_instant_loses_nothing_that_was_told) {
  std::uint64_t before = 0;
  for (int round = 0; round < 8; ++round) {
    const auto body = [&]() -> task<> {
      const std::uint64_t told = co_await kill_while_appending(folder_ / "in.db", 1 + round * 3);
      const auto journal = co_await started(options());
      const texts all = co_await read(*journal, told - before);
      EXPECT_EQ(all.front(), std::to_string(before + 1) + ":" + std::string(300, 'x'));
      EXPECT_EQ(all.back(), std::to_string(told) + ":" + std::string(300, 'x'));
      const intake_place next = co_await add(*journal, "next");
      EXPECT_EQ(next.position % 5, (round + 1) % 5) << "all of an append, or nothing";
      journal->trim(next.position + 1);
      before = next.position;
      co_await journal->close();
    };
    run(body());
  }
}

}  // namespace
}  // namespace brigade
