// The source `http` with `reply: accepted`, without its sockets: from requests to entries of a
// journal, and from those to items.
#include "connect/http_journal_source.hpp"
#include "connect/temporary_folder.hpp"
#include "pipeline/failing_vfs.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/outside_hold.hpp>
#include <brigade/pipeline/log.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using test::temporary_folder;
using namespace std::chrono_literals;
using texts = std::vector<std::string>;

http_request posted(std::string body, std::string key = {}) {
  http_request made;
  made.body = std::move(body);
  made.key = std::move(key);
  return made;
}

/// What is recorded, and what was asked for.
struct memory_of_test {
  static task<std::vector<std::optional<http_result>>> answer(std::shared_ptr<memory_of_test> own,
                                                              std::vector<std::string> ids) {
    own->asked.insert(own->asked.end(), ids.begin(), ids.end());
    if (own->is_broken) throw std::runtime_error("the ledger is gone");
    std::vector<std::optional<http_result>> found;
    for (const std::string& id : ids) {
      const auto row = own->rows.find(id);
      found.push_back(row == own->rows.end() ? std::nullopt : std::optional(row->second));
    }
    co_return found;
  }
  texts asked;
  std::map<std::string, http_result> rows;
  bool is_broken = false;
};

class http_journal : public ::testing::Test {
 protected:
  struct counter {
    std::shared_ptr<intake_journal> journal;
    std::unique_ptr<http_journal_desk> desk;

    task<http_answer> post(std::string body, std::string key = {}) const {
      return desk->post(posted(std::move(body), std::move(key)));
    }
    task<unsigned> status(std::string body, std::string key = {}) const {
      auto posting = post(std::move(body), std::move(key));
      const http_answer answer = co_await std::move(posting);
      co_return answer.status;
    }
  };

  http_journal() {
    options_.name = "orders";
    journal_.file = folder_ / "in.db";
    journal_.full_retry_after = 1ms;
  }
  task<counter> open() const {
    auto opening = intake_journal::open(journal_);
    counter made;
    made.journal = co_await std::move(opening);
    mark nothing;
    made.journal->start(nothing);
    made.desk = std::make_unique<http_journal_desk>(options_, made.journal);
    co_return made;
  }
  /// The next items of the journal: position, id and payload.
  static task<texts> read(intake_journal& from, std::size_t count) {
    texts found;
    while (found.size() < count) {
      auto reading = from.read(count - found.size());
      const std::vector<intake_item> some = co_await std::move(reading);
      for (const intake_item& each : some) {
        found.push_back(std::to_string(each.position) + " " + each.id + ": " + each.payload);
      }
    }
    co_return found;
  }
  /// Runs `body` with an open desk, and closes its journal.
  void with_desk(const std::function<task<>(counter&)>& body) const {
    loop own;
    auto main = [&]() -> task<> {
      auto opening = open();
      counter at = co_await std::move(opening);
      auto running = body(at);
      co_await std::move(running);
      auto closing = at.journal->close();
      co_await std::move(closing);
    };
    own.run(main());
  }
  std::shared_ptr<memory_of_test> remembers() {
    auto rows = std::make_shared<memory_of_test>();
    options_.memory = [rows](std::vector<std::string> ids) {
      return memory_of_test::answer(rows, std::move(ids));
    };
    return rows;
  }

  temporary_folder folder_;
  http_journal_desk_options options_;
  intake_options journal_;
};

TEST_F(http_journal, a_request_is_answered_when_it_is_durable_and_an_item_says_where_it_is) {
  const failing_vfs disk;
  with_desk([](counter& at) -> task<> {
    const std::string token = at.journal->token();
    auto single = at.post(R"({"n":1})");
    const http_answer one = co_await std::move(single);
    EXPECT_FALSE(failing_vfs::has_unsynced());
    EXPECT_EQ(one.status, 202U);
    EXPECT_EQ(one.body,
              "{\"id\":\"orders:" + token + ":1\",\"status\":202,\"outcome\":\"accepted\"}");
    auto several = at.post("[2, 3]");
    const http_answer two = co_await std::move(several);
    EXPECT_EQ(two.status, 202U);
    EXPECT_EQ(two.body, "[{\"id\":\"orders:" + token +
                            ":2\",\"status\":202,\"outcome\":\"accepted\"},\n {\"id\":\"orders:" +
                            token + ":3\",\"status\":202,\"outcome\":\"accepted\"}]");
    auto empty = at.post("[]");
    const http_answer none = co_await std::move(empty);
    EXPECT_EQ(none.status, 202U);
    EXPECT_EQ(none.body, "[]");
    auto wrong = at.status("[4, 5");
    const unsigned refused = co_await std::move(wrong);
    EXPECT_EQ(refused, 400U);
    auto reading = read(*at.journal, 3);
    const texts all = co_await std::move(reading);
    EXPECT_EQ(all, (texts{R"(1 : {"n":1})", "2 : 2", "3 : 3"}));
  });
}

TEST_F(http_journal, a_request_that_is_sent_again_under_its_key_is_taken_once) {
  with_desk([](counter& at) -> task<> {
    auto first = at.post("[1,2]", "a/b");
    const http_answer said = co_await std::move(first);
    auto again = at.post("[1,2]", "a/b");
    const http_answer repeated = co_await std::move(again);
    EXPECT_EQ(repeated.status, 202U);
    EXPECT_EQ(repeated.body, said.body);
    EXPECT_NE(said.body.find(R"("id":"orders:key-a%2Fb#2")"), said.body.npos) << said.body;
    auto other = at.status("[1,3]", "a/b");
    const unsigned refused = co_await std::move(other);
    EXPECT_EQ(refused, 422U);
    auto last = at.status("4", "c");
    const unsigned taken = co_await std::move(last);
    EXPECT_EQ(taken, 202U);
    auto reading = read(*at.journal, 3);
    const texts all = co_await std::move(reading);
    EXPECT_EQ(all, (texts{"1 key-a%2Fb#1: 1", "2 key-a%2Fb#2: 2", "3 key-c: 4"}));
  });
}

// Guards: what is known of a key is in the file, not in this process.
TEST_F(http_journal, a_key_is_known_after_a_restart_and_when_its_item_is_over) {
  with_desk([](counter& at) -> task<> {
    auto posting = at.status("1", "k");
    co_await std::move(posting);
    at.journal->trim(2);
  });
  with_desk([](counter& at) -> task<> {
    for (const char* key : {"k", "new"}) {
      auto posting = at.status("1", key);
      const unsigned status = co_await std::move(posting);
      EXPECT_EQ(status, 202U);
    }
    auto reading = read(*at.journal, 1);
    const texts all = co_await std::move(reading);
    EXPECT_EQ(all, (texts{"2 key-new: 1"}));
  });
}

TEST_F(http_journal, an_item_is_known_by_what_it_is_called_itself_unless_its_request_has_a_key) {
  options_.item_id = [](const payload& item) {
    const std::string text(item.get<record>().raw());
    return text.size() < 2 ? std::string() : text.substr(text.size() - 2, 1);
  };
  with_desk([](counter& at) -> task<> {
    for (const char* body : {R"("a")", R"(["b","a","b"])", R"([7,7])"}) {
      auto posting = at.status(body);
      const unsigned status = co_await std::move(posting);
      EXPECT_EQ(status, 202U);
    }
    auto keyed = at.status(R"("a")", "k");
    co_await std::move(keyed);
    auto other = at.post(R"(["c", " a"])");
    const http_answer refused = co_await std::move(other);
    EXPECT_EQ(refused.status, 422U) << refused.body;
    EXPECT_NE(refused.body.find("(id-a); nothing was taken"), refused.body.npos) << refused.body;
    auto reading = read(*at.journal, 5);
    const texts all = co_await std::move(reading);
    EXPECT_EQ(all, (texts{"1 id-a: \"a\"", "2 id-b: \"b\"", "3 : 7", "4 : 7", "5 key-k: \"a\""}));
  });
}

TEST_F(http_journal, what_the_ledger_knows_is_told_and_not_taken_again) {
  const auto rows = remembers();
  rows->rows["orders:key-k#1"] = {outcome::delivered, ""};
  rows->rows["orders:key-k#2"] = {outcome::dead_lettered, "no total"};
  rows->rows["orders:key-k#3"] = {outcome::returned, "stopped"};
  with_desk([&](counter& at) -> task<> {
    auto posting = at.post("[1,2,3]", "k");
    const http_answer answer = co_await std::move(posting);
    EXPECT_EQ(answer.status, 207U);
    EXPECT_EQ(answer.body,
              "[{\"id\":\"orders:key-k#1\",\"status\":200,\"outcome\":\"delivered\"},\n"
              " {\"id\":\"orders:key-k#2\",\"status\":422,\"outcome\":\"dead_lettered\","
              "\"error\":\"no total\"},\n"
              " {\"id\":\"orders:key-k#3\",\"status\":202,\"outcome\":\"accepted\"}]");
    auto plain = at.status("4");
    co_await std::move(plain);
    EXPECT_EQ(rows->asked.size(), 3U) << "without a key there is nothing to ask for";
    rows->is_broken = true;
    auto lost = at.post("5", "l");
    const http_answer failed = co_await std::move(lost);
    EXPECT_EQ(failed.status, 503U);
    EXPECT_TRUE(failed.try_later);
    auto reading = read(*at.journal, 2);
    const texts all = co_await std::move(reading);
    EXPECT_EQ(all, (texts{"1 key-k#3: 3", "2 : 4"}));
  });
}

TEST_F(http_journal, full_it_takes_nothing_and_says_when_to_come_again) {
  journal_.bytes_max = 2120;
  with_desk([](counter& at) -> task<> {
    const std::string kilobyte = '"' + std::string(1000, 'x') + '"';
    auto filling = at.status("[" + kilobyte + "," + kilobyte + "]");
    co_await std::move(filling);
    auto posting = at.post(kilobyte, "k");
    const http_answer refused = co_await std::move(posting);
    EXPECT_EQ(refused.status, 429U);
    EXPECT_TRUE(refused.try_later);
    EXPECT_NE(refused.body.find("the journal is full; nothing was taken"), refused.body.npos);
    event room("room in the journal");
    at.journal->on_full = [&](const std::string& why) {
      if (why.empty()) room.set();
    };
    at.journal->trim(3);
    {
      const outside_hold writing;
      co_await room.wait();
    }
    auto other = at.status("1", "k");
    const unsigned taken = co_await std::move(other);
    EXPECT_EQ(taken, 202U) << "a key under which nothing was taken is free";
  });
}

TEST_F(http_journal, what_is_too_large_for_what_is_left_is_refused_alone) {
  journal_.bytes_max = 1000;
  with_desk([](counter& at) -> task<> {
    EXPECT_EQ(co_await at.status("1"), 202U);
    EXPECT_EQ(co_await at.status("\"" + std::string(980, 'x') + "\""), 429U);
    EXPECT_EQ(co_await at.status("2"), 202U);
  });
}

TEST_F(http_journal, what_was_dropped_is_told_and_not_taken_for_accepted) {
  const auto rows = remembers();
  rows->rows["orders:key-k1"] = {outcome::dropped, "the queue was full"};
  with_desk([](counter& at) -> task<> {
    auto posting = at.post("1", "k1");
    const http_answer answer = co_await std::move(posting);
    EXPECT_EQ(answer.status, 503U);
    EXPECT_NE(answer.body.find("the queue was full"), std::string::npos) << answer.body;
  });
}

TEST_F(http_journal, of_a_long_id_a_digest_is_kept) {
  const std::string plain = http_id_of_item(std::string(252, 'a'));
  EXPECT_EQ(plain, "id-" + std::string(252, 'a'));
  const std::string one = http_id_of_item(std::string(5000, 'a'));
  EXPECT_EQ(one.size(), std::string("id-sha256-").size() + 64);
  EXPECT_NE(one, http_id_of_item(std::string(5001, 'a')));
}

TEST_F(http_journal, a_full_disk_is_told_and_does_not_hold_requests_up) {
  const failing_vfs disk;
  with_desk([](counter& at) -> task<> {
    event room("room on the disk");
    at.journal->on_full = [&](const std::string& why) {
      if (why.empty()) room.set();
    };
    failing_vfs::be_full(true);
    for (int n = 0; n < 2; ++n) {
      auto posting = at.post("1", "k");
      const http_answer refused = co_await std::move(posting);
      EXPECT_EQ(refused.status, 503U);
      EXPECT_TRUE(refused.try_later);
      EXPECT_NE(refused.body.find("disk of the journal is full; nothing was taken"),
                refused.body.npos);
    }
    failing_vfs::be_full(false);
    {
      const outside_hold writing;
      co_await room.wait();
    }
    auto again = at.status("1", "k");
    const unsigned taken = co_await std::move(again);
    EXPECT_EQ(taken, 202U);
    auto reading = read(*at.journal, 1);
    const texts all = co_await std::move(reading);
    EXPECT_EQ(all, (texts{"1 key-k: 1"}));
  });
}

TEST_F(http_journal, a_journal_that_failed_acknowledges_nothing) {
  const failing_vfs disk;
  with_desk([](counter& at) -> task<> {
    failing_vfs::fail_syncs();
    for (int n = 0; n < 2; ++n) {
      auto posting = at.post("1");
      const http_answer refused = co_await std::move(posting);
      EXPECT_EQ(refused.status, 503U);
      EXPECT_EQ(refused.body.find("in.db"), refused.body.npos) << "no business of the client";
    }
    std::string error;
    try {
      auto reading = at.journal->read(1);
      co_await std::move(reading);
    } catch (const std::runtime_error& failed) {
      error = failed.what();
    }
    EXPECT_NE(error.find("in.db: the journal cannot be written"), error.npos) << error;
  });
}

// Guards: `reply_timeout` is of the commit here.
TEST_F(http_journal, a_disk_that_takes_too_long_is_told_as_unknown_and_the_item_may_be_there) {
  const failing_vfs disk;
  options_.reply_timeout = 1ms;
  with_desk([](counter& at) -> task<> {
    failing_vfs::hold_syncs(true);
    auto posting = at.status("1", "k");
    const unsigned status = co_await std::move(posting);
    failing_vfs::hold_syncs(false);
    EXPECT_EQ(status, 504U);
    auto reading = read(*at.journal, 1);
    const texts all = co_await std::move(reading);
    EXPECT_EQ(all, (texts{"1 key-k: 1"}));
  });
}

TEST_F(http_journal, after_a_stop_nothing_is_taken) {
  with_desk([](counter& at) -> task<> {
    at.desk->stop();
    auto posting = at.post("1");
    const http_answer answer = co_await std::move(posting);
    EXPECT_EQ(answer.status, 503U);
    EXPECT_TRUE(answer.try_later);
  });
}

class http_journal_source_test : public ::testing::Test {
 protected:
  http_journal_source_options options() const {
    http_journal_source_options made;
    made.journal.file = folder_ / "in.db";
    return made;
  }
  temporary_folder folder_;
};

TEST_F(http_journal_source_test, what_the_engine_did_not_finish_is_given_to_the_next_run) {
  texts said;
  const log_to here([&](std::string_view line) { said.emplace_back(line); });
  std::string partition;
  mark done;
  loop own;
  auto first = [&]() -> task<> {
    {
      auto opening = intake_journal::open(options().journal);
      const auto journal = co_await std::move(opening);
      mark nothing;
      journal->start(nothing);
      std::vector<intake_entry> entries(3);
      for (std::size_t n = 0; n < 3; ++n) {
        entries[n].payload = std::to_string(n);
        if (n == 1) entries[n].id = "key-k";
      }
      auto adding = journal->append(std::move(entries));
      co_await std::move(adding);
      auto closing = journal->close();
      co_await std::move(closing);
    }
    http_journal_source source(options());
    auto opening = source.open({}, {});
    co_await std::move(opening);
    EXPECT_TRUE(source.replayable());
    EXPECT_FALSE(source.wants_outcomes());
    partition = source.partitions().at(0);
    EXPECT_TRUE(partition.starts_with("http:"));
    auto reading = source.read(2);
    const std::vector<source_item> items = co_await std::move(reading);
    EXPECT_EQ(items.size(), 2U);
    EXPECT_EQ(items[1].value.get<record>().raw(), "1");
    EXPECT_FALSE(items[0].id.has_value());
    EXPECT_EQ(items[1].id, "http:key-k");
    watermark at{mark{}};
    const std::uint64_t slot = at.taken(items[0].begin, items[0].end);
    at.taken(items[1].begin, items[1].end);
    at.finished(slot);
    source.acknowledge(0, at);
    done = at.at();
    source.stopping();
    auto closing = source.close();
    co_await std::move(closing);
  };
  own.run(first());
  EXPECT_EQ(said, (texts{"source 'http': 2 items stay in the journal, for the next run"}));
  auto second = [&]() -> task<> {
    http_journal_source source(options());
    std::vector<partition_mark> resume;
    resume.push_back({partition, done});
    auto opening = source.open(std::move(resume), {});
    co_await std::move(opening);
    EXPECT_EQ(source.partitions(), (texts{partition}));
    auto reading = source.read(10);
    const std::vector<source_item> items = co_await std::move(reading);
    EXPECT_EQ(items.size(), 2U);
    EXPECT_EQ(items[0].begin, 2U);
    auto closing = source.close();
    co_await std::move(closing);
  };
  own.run(second());
}

}  // namespace
}  // namespace brigade
