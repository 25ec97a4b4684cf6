#include "connect/file_tail.hpp"

#include "connect/components.hpp"
#include "connect/file_source.hpp"
#include "connect/tail_reader.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/connect/file.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::kept;
using test::tail_reader;
using test::temporary_folder;
using test::texts;

class file_tail_test : public ::testing::Test {
 protected:
  void rename(const std::string& from, const std::string& to) const {
    ASSERT_EQ(::rename((folder / from).c_str(), (folder / to).c_str()), 0);
  }
  void remove(const std::string& name) const { ASSERT_EQ(::unlink((folder / name).c_str()), 0); }
  void cut(const std::string& name) const { ASSERT_EQ(::truncate((folder / name).c_str(), 0), 0); }
  void copy(const std::string& from, const std::string& to) const {
    folder.write(to, folder.read(from));
  }
  const temporary_folder folder;
  kept memory;
};

TEST_F(file_tail_test, reads_from_the_beginning_and_goes_on_as_the_file_grows) {
  folder.write("app.log", "one\ntwo\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), (texts{"one", "two"}));
  folder.append("app.log", "three\n");
  EXPECT_EQ(reader.next(), texts{"three"});
  EXPECT_EQ(reader.next(), texts{});
  EXPECT_FALSE(reader.source().finite());
  EXPECT_TRUE(reader.source().replayable());
}

TEST_F(file_tail_test, half_a_line_waits_for_its_end) {
  folder.write("app.log", "one\ntw");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(100s), texts{"one"});
  folder.append("app.log", "o");
  EXPECT_EQ(reader.next(100s), texts{});
  reader.again();
  EXPECT_EQ(reader.next(100s), texts{});
  folder.append("app.log", "\n");
  EXPECT_EQ(reader.next(), texts{"two"});
}

TEST_F(file_tail_test, waits_for_a_file_that_is_not_there_yet) {
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.said(),
            texts{"waits for " + folder / "app.log" + ": there is no such file yet"});
  EXPECT_EQ(reader.next(), texts{});
  folder.write("app.log", "one\n");
  EXPECT_EQ(reader.next(), texts{"one"});
}

TEST_F(file_tail_test, goes_on_where_it_stopped) {
  folder.write("app.log", "one\ntwo\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), (texts{"one", "two"}));
  reader.again();
  folder.append("app.log", "three\n");
  EXPECT_EQ(reader.next(), texts{"three"});
  reader.kill_and_start();
  EXPECT_EQ(reader.next(), texts{});
}

TEST_F(file_tail_test, gives_again_what_was_not_acknowledged) {
  folder.write("app.log", "one\ntwo\n");
  tail_reader reader(folder, {"app.log"}, memory);
  reader.acknowledges = false;
  EXPECT_EQ(reader.next(), (texts{"one", "two"}));
  reader.kill_and_start();
  reader.acknowledges = true;
  EXPECT_EQ(reader.next(), (texts{"one", "two"}));
}

TEST_F(file_tail_test, reads_a_renamed_file_to_its_end_and_the_new_one_behind_it) {
  folder.write("app.log", "one\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), texts{"one"});
  folder.append("app.log", "two\n");
  rename("app.log", "app.log.1");
  folder.write("app.log", "three\n");
  EXPECT_EQ(reader.next(), (texts{"two", "three"}));
  // Its writer has it open still.
  folder.append("app.log.1", "late\n");
  EXPECT_EQ(reader.next(), texts{"late"});
  EXPECT_EQ(reader.next(20s), texts{});
  folder.append("app.log.1", "very late\n");
  EXPECT_EQ(reader.next(), texts{"very late"});
}

// Row 4: guard: rotated siblings are read, not only what stands at the path.
TEST_F(file_tail_test, reads_what_was_rotated_away_twice_while_it_was_down) {
  folder.write("app.log", "one\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), texts{"one"});
  reader.again();
  for (int running = 0; running < 2; ++running) {
    folder.append("app.log", "two\n");
    rename("app.log", "app.log.2");
    folder.write("app.log", "three\n");
    rename("app.log", "app.log.1");
    folder.write("app.log", "four\n");
    if (running == 0) reader.kill_and_start();
    EXPECT_EQ(reader.next(), (texts{"two", "three", "four"})) << running;
    remove("app.log.1");
    remove("app.log.2");
  }
}

TEST_F(file_tail_test, does_not_touch_what_was_rotated_before_the_very_first_start) {
  folder.write("app.log.2", "older\n");
  folder.write("app.log.1", "old\n");
  folder.write("app.log", "one\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), texts{"one"});
  reader.kill_and_start();
  rename("app.log.1", "app.log.2");
  rename("app.log", "app.log.1");
  EXPECT_EQ(reader.next(), texts{});
  reader.again();
  EXPECT_EQ(reader.next(), texts{});
  folder.write("app.log", "two\n");
  EXPECT_EQ(reader.next(), texts{"two"});
}

TEST_F(file_tail_test, follows_dated_names_and_no_compressed_ones) {
  folder.write("app.log", "one\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), texts{"one"});
  for (const char* const name : {"app.log-20260101", "app.log.2026-01-02", "app-2026-01-03.log",
                                 "app.4.log", "app.log.old"}) {
    folder.write(name, std::string(name) + "\n");
    EXPECT_EQ(reader.next(), texts{name});
  }
  for (const char* const name :
       {"app.log.1.gz", "app.log.zst", "app.log.tmp", "other.log", "app"}) {
    folder.write(name, std::string(name) + "\n");
    EXPECT_EQ(reader.next(), texts{}) << name;
  }
}

// Row 3: guard: a file that is shorter than what was read of it is another one.
TEST_F(file_tail_test, a_file_that_was_cut_is_a_new_file) {
  folder.write("app.log", "one\ntwo\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), (texts{"one", "two"}));
  cut("app.log");
  folder.append("app.log", "one\n");
  EXPECT_EQ(reader.next(), texts{"one"});
  EXPECT_EQ(reader.said(), texts{});
  reader.kill_and_start();
  cut("app.log");
  folder.append("app.log", "1\n");
  reader.kill_and_start();
  EXPECT_EQ(reader.next(), texts{"1"});
}

// Guard: the bytes before the place up to which it was read.
TEST_F(file_tail_test, a_file_that_was_cut_and_grew_beyond_its_old_end_is_a_new_file) {
  const std::string header(5000, 'h');
  folder.write("app.log", header + "\none\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), (texts{header, "one"}));
  for (int running = 0; running < 2; ++running) {
    const std::string second = "second " + std::to_string(running);
    cut("app.log");
    folder.append("app.log", header + "\n" + second + "\nand more\n");
    if (running == 0) reader.kill_and_start();
    EXPECT_EQ(reader.next(), (texts{header, second, "and more"})) << running;
  }
}

TEST_F(file_tail_test, goes_on_in_the_copy_that_was_made_before_a_cut) {
  folder.write("app.log", "one\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), texts{"one"});
  for (int running = 0; running < 2; ++running) {
    const std::string two = "two of " + std::to_string(running);
    const std::string three = "three of " + std::to_string(running);
    folder.append("app.log", two + "\n");
    copy("app.log", "app.log.1");
    cut("app.log");
    folder.append("app.log", three + "\n");
    if (running == 0) reader.kill_and_start();
    EXPECT_EQ(reader.next(), (texts{two, three})) << running;
    EXPECT_EQ(reader.said(), texts{});
    rename("app.log.1", "app.log.2");
    EXPECT_EQ(reader.next(), texts{});
  }
}

TEST_F(file_tail_test, does_not_read_a_copy_while_it_is_made_nor_after_its_original_moved) {
  const std::string text = std::string(9000, 'x') + "\none\n";
  folder.write("app.log", text);
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next().size(), 2U);
  folder.write("app.log.1", "");
  EXPECT_EQ(reader.next(), texts{});
  folder.append("app.log.1", text.substr(0, 5000));
  EXPECT_EQ(reader.next(), texts{});
  folder.append("app.log.1", text.substr(5000));
  EXPECT_EQ(reader.next(), texts{});
  reader.kill_and_start();
  EXPECT_EQ(reader.next(), texts{});
  rename("app.log", "app.log.2");
  folder.write("app.log", "two\n");
  EXPECT_EQ(reader.next(), texts{"two"});
  reader.again();
  EXPECT_EQ(reader.next(), texts{});
}

TEST_F(file_tail_test, a_copy_may_be_shorter_than_what_was_read) {
  folder.write("app.log", std::string(5000, 'a') + "\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next().size(), 1U);
  copy("app.log", "app.log.1");
  folder.append("app.log", "read before the cut\n");
  EXPECT_EQ(reader.next(), texts{"read before the cut"});
  cut("app.log");
  EXPECT_EQ(reader.next(), texts{});
  folder.append("app.log", "new\n");
  EXPECT_EQ(reader.next(), texts{"new"});
  reader.kill_and_start();
  EXPECT_EQ(reader.next(), texts{});
}

TEST_F(file_tail_test, says_how_much_was_lost_before_it_was_read) {
  folder.write("app.log", "one\n");
  tail_reader reader(folder, {"app.log"}, memory);
  reader.acknowledges = false;
  EXPECT_EQ(reader.next(), texts{"one"});
  remove("app.log");
  reader.kill_and_start();
  EXPECT_EQ(reader.next(5s), texts{});
  const texts said = reader.said();
  ASSERT_EQ(said.size(), 2U);
  EXPECT_TRUE(said[1].starts_with("lost before it was read: 4 bytes of " + folder / "app.log"))
      << said[1];
  EXPECT_TRUE(said[1].ends_with("which was deleted")) << said[1];
  reader.again();
  EXPECT_EQ(reader.said().size(), 1U);
}

TEST_F(file_tail_test, reads_a_deleted_file_to_its_end) {
  folder.write("app.log", "one\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), texts{"one"});
  const auto writer = file_handle::open_to_append(folder / "app.log");
  remove("app.log");
  EXPECT_EQ(::write(writer.fd(), "two\nhalf", 8), 8);
  EXPECT_EQ(reader.next(), texts{"two"});
  folder.write("app.log", "three\n");
  EXPECT_EQ(reader.next(), texts{"three"});
  EXPECT_EQ(reader.next(100s), texts{"half"});
}

TEST_F(file_tail_test, a_deleted_and_recreated_file_is_new_whatever_it_says) {
  folder.write("app.log", "header\none\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), (texts{"header", "one"}));
  for (int round = 0; round < 20; ++round) {
    remove("app.log");
    folder.write("app.log", "header\none\n");
    if (round % 2 == 0) reader.kill_and_start();
    EXPECT_EQ(reader.next(), (texts{"header", "one"})) << round;
  }
}

TEST_F(file_tail_test, finds_new_files_of_a_glob_while_it_runs) {
  folder.write("a.log", "a\n");
  ::mkdir((folder / "sub").c_str(), 0700);
  tail_reader reader(folder, {"*.log", "*/x.txt"}, memory);
  EXPECT_EQ(reader.next(), texts{"a"});
  folder.write("b.log", "b\n");
  folder.write("sub/x.txt", "x\n");
  EXPECT_EQ(reader.next().size(), 2U);
  ::mkdir((folder / "more").c_str(), 0700);
  folder.write("more/x.txt", "y\n");
  EXPECT_EQ(reader.next(), texts{"y"});
  // Rotated out of the glob, twice between two looks.
  rename("b.log", "b.log.2");
  folder.write("b.log", "bb\n");
  rename("b.log", "b.log.1");
  folder.write("b.log", "bbb\n");
  EXPECT_EQ(reader.next(), (texts{"bb", "bbb"}));
}

TEST_F(file_tail_test, keeps_few_open_that_were_deleted) {
  memory.open_max = 5;
  tail_reader reader(folder, {"app.log"}, memory);
  for (int round = 0; round < 60; ++round) {
    folder.write("app.log", "line " + std::to_string(round) + "\n");
    EXPECT_EQ(reader.next(1100ms).size(), 1U) << round;
    remove("app.log");
    EXPECT_LE(reader.source().partitions().size(), 15U);
  }
}

TEST_F(file_tail_test, forgets_what_is_gone_and_finished) {
  tail_reader reader(folder, {"app.log"}, memory);
  for (int round = 0; round < 50; ++round) {
    folder.write("app.log", "line " + std::to_string(round) + "\n");
    EXPECT_EQ(reader.next().size(), 1U);
    if (round > 0) remove("app.log.1");
    rename("app.log", "app.log.1");
    if (round % 10 == 0) reader.kill_and_start();
    EXPECT_EQ(reader.next(70s), texts{});
    EXPECT_LE(reader.kept_marks(), 3U);
    EXPECT_LE(reader.source().partitions().size(), 4U);
  }
  EXPECT_LT(reader.state().size(), 2000U);
}

// Of a chain of renames a look may see a file under neither of its names.
TEST_F(file_tail_test, a_file_that_one_look_misses_is_not_taken_for_deleted) {
  folder.write("app.log.2", "left alone\n");
  folder.write("app.log", "one\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), texts{"one"});
  rename("app.log", "app.log.1");
  folder.write("app.log", "two\n");
  EXPECT_EQ(reader.next(20s), texts{"two"});
  for (const bool restarts : {false, true}) {
    rename("app.log.1", "unseen.1");
    rename("app.log.2", "unseen.2");
    if (restarts) reader.kill_and_start();
    EXPECT_EQ(reader.next(1500ms), texts{});
    rename("unseen.1", "app.log.1");
    rename("unseen.2", "app.log.2");
    EXPECT_EQ(reader.next(), texts{}) << restarts;
  }
  remove("app.log.1");
  reader.next(10s);
  EXPECT_EQ(reader.kept_marks(), 1U);
}

TEST_F(file_tail_test, keeps_what_it_knows_of_a_folder_that_is_away) {
  ::mkdir((folder / "far").c_str(), 0700);
  folder.write("far/app.log", "one\n");
  tail_reader reader(folder, {"far/app.log"}, memory);
  EXPECT_EQ(reader.next(), texts{"one"});
  rename("far", "away");
  reader.again();
  EXPECT_EQ(reader.next(100s), texts{});
  rename("away", "far");
  folder.append("far/app.log", "two\n");
  EXPECT_EQ(reader.next(), texts{"two"});
}

TEST_F(file_tail_test, what_was_read_once_is_followed_on) {
  folder.write("app.log.1", "old\n");
  folder.write("app.log", "one\n");
  memory.state = R"({"files":[]})";
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), texts{"one"});
}

TEST_F(file_tail_test, what_is_rotated_after_a_run_in_once_is_read) {
  folder.write("app.log.5", "left alone\n");
  folder.write("app.log", "one\n");
  {
    tail_reader reader(folder, {"app.log"}, memory);
    EXPECT_EQ(reader.next(), texts{"one"});
  }
  file_source_options options;
  options.name = "main";
  options.folder = folder.path().string();
  options.paths = {"app.log"};
  file_source once(std::move(options));
  run(once.open(memory.resume(), memory.state));
  memory.state = once.state();
  rename("app.log", "app.log.2");
  folder.write("app.log.1", "two\n");
  folder.write("app.log", "three\n");
  tail_reader reader(folder, {"app.log"}, memory);
  EXPECT_EQ(reader.next(), (texts{"two", "three"}));
}

TEST_F(file_tail_test, refuses_what_is_no_file) {
  ::mkdir((folder / "sub").c_str(), 0700);
  EXPECT_THROW(tail_reader(folder, {"sub"}, memory), std::runtime_error);
}

TEST_F(file_tail_test, does_not_keep_more_files_open_than_it_needs) {
  follower_options options;
  options.name = "main";
  options.folder = folder.path().string();
  options.paths = {"*.log"};
  options.open_max = 5;
  for (int i = 0; i < 40; ++i) folder.write(std::to_string(i) + ".log", "x\n");
  file_follower follower(std::move(options));
  static_cast<void>(follower.open({}, {}, 0s));
  EXPECT_LE(follower.open_files(), 5U);
  std::size_t read = 0;
  int kept_first = 0;
  const auto read_all = [&](std::chrono::nanoseconds now) {
    follower_request request;
    request.now = now;
    request.look = follower_look::folders;
    for (bool more = true; more; request.look = follower_look::nowhere) {
      const follower_news news = follower.advance(request);
      for (const follower_news::chunk& each : news.chunks) read += each.bytes.size();
      kept_first += news.state_first ? 1 : 0;
      EXPECT_LE(follower.open_files(), 5U);
      more = news.more;
    }
  };
  read_all(1s);
  EXPECT_EQ(read, 80U);
  EXPECT_LE(kept_first, 20);  // each time it is all of what is known
  read_all(2s);
  EXPECT_LE(follower.open_files(), 5U);
  for (int i = 0; i < 40; ++i) folder.append(std::to_string(i) + ".log", "y\n");
  read_all(3s);
  EXPECT_EQ(read, 160U);
}

TEST(file_tail, refuses_compressed_files) {
  registry known;
  register_file(known);
  const component& entry = *known.find(component_kind::source, "file");
  const auto error = [&](std::string path) {
    return test::config_error_of([&] {
      entry.make_source(
          test::settings_for(entry, {{"path", std::vector<std::string>{std::move(path)}},
                                     {"mode", std::string("tail")}}),
          test::context_in("."));
    });
  };
  EXPECT_EQ(error("a.log.gz"),
            "path: 'a.log.gz' is compressed, and cannot be followed; read it in mode: once");
  EXPECT_EQ(error("a.log"), "");
}

}  // namespace
}  // namespace brigade
