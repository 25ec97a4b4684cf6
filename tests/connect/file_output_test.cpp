#include "connect/file_output.hpp"

#include "connect/components.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/pipeline/sink.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <stdexcept>

namespace brigade {
namespace {

using std::chrono::hours;
using test::temporary_folder;

// 2026-01-05 10:00:00 UTC
constexpr std::time_t ten = 1767607200;
constexpr std::time_t hour = 3600;

class file_output_test : public testing::Test {
 protected:
  file_output_test() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    options_.owner = "orders";
    options_.now = [this] { return now_; };
  }

  file_output open(const std::string& pattern, const std::string& token = {}) {
    options_.pattern = folder_ / pattern;
    return {options_, token};
  }
  std::string refusal(const std::string& pattern, const std::string& token) {
    try {
      open(pattern, token);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "no error";
  }
  /// What there is, by name: `a:text b:text`, without lists.
  [[nodiscard]] std::string files() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      const std::string name = std::filesystem::relative(entry.path(), folder_.path());
      if (!entry.is_regular_file() || name.find(".brigade-") != std::string::npos) continue;
      found.push_back(name + ":" + folder_.read(name));
    }
    std::ranges::sort(found);
    std::string text;
    for (const std::string& each : found) text += (text.empty() ? "" : " ") + each;
    return text;
  }
  [[nodiscard]] std::size_t lists() const {
    const std::filesystem::directory_iterator all(folder_.path());
    return static_cast<std::size_t>(std::ranges::count_if(begin(all), end(all), [](const auto& e) {
      return e.path().filename().string().starts_with(".brigade-");
    }));
  }

  temporary_folder folder_;
  file_output_options options_;
  std::time_t now_ = ten;
};

TEST(file_names, a_number_goes_before_the_extension) {
  EXPECT_EQ(numbered("/a.b/out.ndjson", 0), "/a.b/out.ndjson");
  EXPECT_EQ(numbered("/a.b/out.ndjson", 2), "/a.b/out.2.ndjson");
  EXPECT_EQ(numbered("/a.b/out", 2), "/a.b/out.2");
  EXPECT_EQ(numbered("/a/.out", 2), "/a/.out.2");
  EXPECT_EQ(numbered("app.log.2026-01-05", 1), "app.log.2026-01-05.1");
  EXPECT_EQ(numbered("out.", 1), "out..1");
}

TEST(file_names, fills_in_the_pipeline_and_refuses_other_words) {
  EXPECT_EQ(fill_in_name("out/{name}.%Y", "orders"), "out/orders.%Y");
  EXPECT_EQ(test::config_error_of([] { static_cast<void>(fill_in_name("{pipeline}", "x")); }),
            "path: '{pipeline}': only {name}, the pipeline's, can be filled in");
  EXPECT_EQ(without_meaning_to_strftime("/a%Yb"), "/a%%Yb");
}

TEST_F(file_output_test, follows_the_names_that_the_time_gives) {
  file_output at = open("out-%H.log");
  at.append("1\n", true);
  now_ += hour - 1;
  at.append("2\n", true);
  now_ += 1;
  at.append("3\n", true);
  now_ += 2 * hour;
  at.append("4\n", true);
  EXPECT_EQ(files(), "out-10.log:1\n2\n out-11.log:3\n out-13.log:4\n");
  now_ -= hour;  // the clock goes back: what is there is gone on with
  at.append("5\n", true);
  now_ -= hour;
  at.append("6\n", true);
  EXPECT_EQ(files(), "out-10.log:1\n2\n out-11.log:3\n6\n out-12.log:5\n out-13.log:4\n");
}

TEST_F(file_output_test, makes_the_folders_that_the_time_names) {
  file_output at = open("%Y/%m/out.log");
  at.append("1\n", true);
  now_ += 31 * 24 * hour;
  at.append("2\n", true);
  EXPECT_EQ(files(), "2026/01/out.log:1\n 2026/02/out.log:2\n");
  EXPECT_EQ(refusal("no/such/%Y/out.log", {}),
            "cannot make the folder " + folder_ / "no/such/2026" + ": No such file or directory");
}

TEST_F(file_output_test, a_file_that_would_be_too_large_is_followed_by_another) {
  options_.bytes_max = 6;
  folder_.write("out.2.log", "not ours\n");
  file_output at = open("out.log");
  at.append("1\n2\n", true);
  at.append("3\n", true);
  at.append("4\n", true);
  at.append("5\n5\n5\n5\n", true);  // a batch is never divided
  at.append("6\n", true);
  EXPECT_EQ(files(),
            "out.1.log:4\n out.2.log:not ours\n out.3.log:5\n5\n5\n5\n out.4.log:6\n "
            "out.log:1\n2\n3\n");
}

// A pipeline that takes turns with another on one file, or with a person and an editor.
TEST_F(file_output_test, what_others_wrote_behind_a_run_that_ended_well_stays) {
  std::string token;
  {
    file_output at = open("out.log");
    at.append("1\n", true);
    token = at.token();
  }
  folder_.write("out.log", "1\nnot ours\n");
  options_.all_recorded = true;
  file_output again = open("out.log", token);
  again.append("2\n", true);
  EXPECT_EQ(files(), "out.log:1\nnot ours\n2\n");
}

TEST_F(file_output_test, every_file_begins_with_the_header) {
  options_.bytes_max = 8;
  file_output at = open("out.csv");
  at.append("1\n2\n", true, "n\n");
  at.append("3\n", true, "n\n");
  at.append("4\n", true, "n\n");
  EXPECT_EQ(files(), "out.1.csv:n\n4\n out.csv:n\n1\n2\n3\n");
  EXPECT_EQ(at.beginning(3), "n\n4");
}

TEST_F(file_output_test, a_file_that_is_too_large_at_the_start_is_left_as_it_is) {
  options_.bytes_max = 6;
  folder_.write("out.log", "1\n2\n3\n4\n");
  folder_.write("out.1.log", "");
  file_output at = open("out.log");
  at.append("5\n", true);
  EXPECT_EQ(files(), "out.1.log:5\n out.log:1\n2\n3\n4\n");
}

TEST_F(file_output_test, a_new_file_every_so_often) {
  options_.every = hours(2);
  file_output at = open("out.log");
  at.append("1\n", true);
  now_ += hour;
  at.append("2\n", true);
  now_ += hour;
  at.append("3\n", true);
  now_ += 9 * hour;
  at.append("4\n", true);
  EXPECT_EQ(files(), "out.1.log:3\n out.2.log:4\n out.log:1\n2\n");
}

TEST_F(file_output_test, the_name_of_a_file_is_the_time_of_its_beginning) {
  options_.every = hours(24);
  file_output at = open("out-%d-%H.log");
  at.append("1\n", true);
  now_ += 13 * hour;
  at.append("2\n", true);
  now_ += 2 * hour;  // past midnight
  at.append("3\n", true);
  EXPECT_EQ(files(), "out-05-10.log:1\n2\n out-06-01.log:3\n");
}

TEST_F(file_output_test, a_file_in_which_nothing_came_is_not_left_behind) {
  file_output at = open("out-%H.log");
  now_ += hour;
  at.append("1\n", true);
  EXPECT_EQ(files(), "out-11.log:1\n");
}

TEST_F(file_output_test, goes_on_where_it_was) {
  options_.bytes_max = 4;
  std::string token;
  {
    file_output at = open("out.log");
    for (const char* row : {"1\n2\n", "3\n3\n", "4\n"}) at.append(row, true);
    token = at.token();
  }
  EXPECT_EQ(lists(), 1U);
  {
    file_output at = open("out.log", token);
    EXPECT_EQ(lists(), 0U) << "what it says is recorded";
    at.append("5\n", true);
    at.append("6\n", true);
    token = at.token();
  }
  EXPECT_EQ(files(), "out.1.log:3\n3\n out.2.log:4\n5\n out.3.log:6\n out.log:1\n2\n");
  options_.bytes_max = 0;  // without numbers it is the file that is named
  file_output at = open("out.log", token);
  at.append("7\n", true);
  EXPECT_EQ(files(), "out.1.log:3\n3\n out.2.log:4\n5\n out.3.log:6\n out.log:1\n2\n7\n");
}

TEST_F(file_output_test, goes_on_in_the_file_of_its_period_only) {
  options_.every = hours(2);
  std::string token;
  {
    file_output at = open("out.log");
    at.append("1\n", true);
    token = at.token();
  }
  now_ += hour;
  {
    file_output at = open("out.log", token);
    at.append("2\n", true);
    token = at.token();
  }
  now_ += hour;
  file_output at = open("out.log", token);
  at.append("3\n", true);
  EXPECT_EQ(files(), "out.1.log:3\n out.log:1\n2\n");
}

// Guards: the list; that it is read.
TEST_F(file_output_test, a_restart_cuts_all_files_since_the_recorded_one) {
  options_.bytes_max = 4;
  folder_.write("out-11.log", "old\n");
  std::string token;
  {
    file_output at = open("out-%H.log");
    at.append("1\n", true);
    token = at.token();
    at.append("2\n", true);
    at.append("3\n3\n", true);  // out-10.1.log
    now_ += hour;
    at.append("4\n", true);  // out-11.1.log, for out-11.log is full
    options_.bytes_max = 0;
  }
  EXPECT_EQ(files(), "out-10.1.log:3\n3\n out-10.log:1\n2\n out-11.1.log:4\n out-11.log:old\n");
  options_.bytes_max = 4;
  file_output again = open("out-%H.log", token);
  EXPECT_EQ(files(), "out-10.log:1\n out-11.log:old\n");
  EXPECT_EQ(lists(), 1U) << "out-11.log is not the file of the token";
  again.append("2\n", true);
  EXPECT_EQ(files(), "out-10.log:1\n out-11.1.log:2\n out-11.log:old\n");
}

TEST_F(file_output_test, a_file_that_is_written_to_twice_is_cut_to_what_was_recorded) {
  std::string token;
  {
    file_output at = open("out-%H.log");
    at.append("1\n", true);
    token = at.token();
    at.append("2\n", true);
    now_ += hour;
    at.append("3\n", true);
    now_ -= hour;
    at.append("4\n", true);
  }
  EXPECT_EQ(files(), "out-10.log:1\n2\n4\n out-11.log:3\n");
  file_output again = open("out-%H.log", token);
  EXPECT_EQ(files(), "out-10.log:1\n");
}

// The ledger has the token of the first batch only when that is recorded.
TEST_F(file_output_test, a_first_run_elsewhere_is_cut_by_the_token_of_before) {
  folder_.write("new.log", "theirs\n");
  for (const std::string& token :
       {std::string("0 ") + folder_ / "old.log", std::string("50"), std::string("x y")}) {
    {
      file_output at = open("new.log", token);
      at.append("1\n", true);
    }
    file_output again = open("new.log", token);
    EXPECT_EQ(files(), "new.log:theirs\n") << token;
  }
}

TEST_F(file_output_test, a_file_that_is_moved_away_is_begun_anew) {
  file_output at = open("out.log");
  at.append("1\n", true);
  const std::string token = at.token();
  std::filesystem::rename(folder_ / "out.log", folder_ / "out.log.1");
  at.append("2\n", true);
  EXPECT_EQ(files(), "out.log.1:1\n out.log:2\n");
  std::filesystem::remove(folder_ / "out.log.1");
  std::filesystem::rename(folder_ / "out.log", folder_ / "out.log.1");
  folder_.write("out.log", "");  // logrotate's `create`
  at.append("3\n", true);
  EXPECT_EQ(files(), "out.log.1:2\n out.log:3\n");
  {
    const file_output moved(std::move(at));  // closed at the end of this
  }
  file_output again = open("out.log", token);
  EXPECT_EQ(files(), "out.log.1:2\n out.log:");
}

TEST_F(file_output_test, a_file_that_is_cut_by_somebody_is_gone_on_with) {
  std::string token;
  {
    file_output at = open("out.log");
    at.append("1\n1\n", true);
    token = at.token();
    folder_.write("out.log", "");  // logrotate's `copytruncate`
    at.append("2\n", true);
    EXPECT_EQ(files(), "out.log:2\n");
    EXPECT_EQ(file_place::decode(at.token()).value_or(file_place{}).length, 2U);
  }
  file_output again = open("out.log", token);
  EXPECT_EQ(files(), "out.log:");
  again.append("2\n", true);
  EXPECT_EQ(files(), "out.log:2\n");
}

TEST_F(file_output_test, rows_that_somebody_adds_are_not_taken_for_unrecorded_ones) {
  std::string token;
  {
    file_output at = open("out.log");
    at.append("1\n", true);
    folder_.append("out.log", "theirs\n");
    at.append("2\n", true);
    token = at.token();
    at.append("3\n", true);
  }
  file_output again = open("out.log", token);
  EXPECT_EQ(files(), "out.log:1\ntheirs\n2\n");
}

TEST_F(file_output_test, an_empty_file_in_place_of_one_that_was_moved_is_no_loss) {
  std::string token;
  {
    file_output at = open("out.log");
    at.append("1\n", true);
    token = at.token();
  }
  const std::filesystem::path out = folder_ / "out.log";
  std::filesystem::copy(out, folder_ / "copy");
  folder_.write("out.log", "");  // emptied: it was ours
  EXPECT_TRUE(refusal("out.log", token).starts_with(out.string() + " has 0 bytes, but 2 were"));
  std::filesystem::rename(out, folder_ / "out.log.1");
  folder_.write("out.log", "");
  EXPECT_EQ(refusal("out.log", token), "no error");
  std::filesystem::rename(folder_ / "copy", out);  // restored, so it is another one by its inode
  EXPECT_EQ(refusal("out.log", token), "no error");
  EXPECT_EQ(folder_.read("out.log"), "1\n");
}

TEST_F(file_output_test, a_folder_that_vanishes_ends_the_run_by_name) {
  std::filesystem::create_directory(folder_ / "out");
  file_output at = open("out/out.log");
  at.append("1\n", true);
  std::filesystem::remove_all(folder_ / "out");
  try {
    at.append("2\n", true);
    ADD_FAILURE() << "no error";
  } catch (const fatal_error& error) {
    EXPECT_EQ(error.what(),
              "cannot write " + folder_ / "out/out.log" + ": No such file or directory");
  }
}

TEST_F(file_output_test, a_list_that_is_not_whole_is_read_as_far_as_it_goes) {
  const file_list list(folder_ / "list");
  list.add({1, 10, 5, false, "/a\nb"});
  list.add({2, 0, 6, true, "/c"});
  const std::string whole = folder_.read("list");
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    folder_.write("list", whole.substr(0, length) + std::string(length % 3, '\0'));
    const auto found = file_list::read(folder_ / "list");
    const bool has_both = length == whole.size();
    const bool has_one = length >= whole.find("b\n") + 2;
    ASSERT_EQ(found.size(), has_both ? 2U : (has_one ? 1U : 0U)) << length;
    if (has_one) {
      EXPECT_EQ(found[0].path, "/a\nb");
      EXPECT_EQ(found[0].length, 10U);
    }
    if (has_both) {
      EXPECT_TRUE(found[1].is_new);
    }
  }
  EXPECT_TRUE(file_list::read(folder_ / "none").empty());
}

TEST_F(file_output_test, a_token_is_read_as_it_was_written) {
  file_place place;
  place.length = 7;
  place.generation = 3;
  place.stem = folder_ / "a b\n.log";
  place.number = 2;
  place.begun = ten;
  place.inode = 99;
  place.list = folder_ / ".list";
  const auto read = file_place::decode(place.encode());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->encode(), place.encode());
  EXPECT_EQ(read->path(), folder_ / "a b\n.2.log");
  EXPECT_FALSE(file_place::decode(""));
  EXPECT_FALSE(file_place::decode("12"));
  EXPECT_FALSE(file_place::decode("v2 1 2 3"));
  EXPECT_FALSE(file_place::decode("v2 1 2 3 4 5 999 /a"));
}

// A model of a ledger that is behind by any number of batches, and of a clock that jumps.
TEST_F(file_output_test, no_row_is_missing_or_twice_whatever_was_recorded) {
  if (std::filesystem::is_directory("/dev/shm")) ::setenv("TMPDIR", "/dev/shm", 1);  // fast
  const char* const given = std::getenv("BRIGADE_SIM_FIRST");
  const unsigned first = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : 1;
  for (unsigned seed = first; seed < first + 150; ++seed) {
    SCOPED_TRACE("BRIGADE_SIM_FIRST=" + std::to_string(seed));
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    const temporary_folder folder;
    options_.pattern = folder / (below(2) != 0 ? "out-%H.log" : "out.log");
    options_.bytes_max = below(2) != 0 ? 0 : 12;
    options_.every = hours(below(3) == 0 ? 1 : 0);
    std::string recorded;
    int rows_recorded = 0;
    for (int run = 0; run < 6; ++run) {
      file_output at(options_, recorded);
      if (recorded.empty()) recorded = at.token();  // the engine keeps the first
      std::vector<std::pair<std::string, int>> tokens = {{recorded, rows_recorded}};
      int row = rows_recorded;
      for (unsigned batch = below(8); batch > 0; --batch) {
        now_ += static_cast<std::time_t>(below(3)) * hour - (below(6) == 0 ? hour : 0);
        std::string text;
        for (unsigned n = 1 + below(3); n > 0; --n) text += std::to_string(++row) + "\n";
        at.append(text, true);
        tokens.emplace_back(at.token(), row);
      }
      std::tie(recorded, rows_recorded) = tokens[below(static_cast<unsigned>(tokens.size()))];
    }
    {
      const file_output last(options_, recorded);
    }
    std::vector<int> rows;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      std::ifstream file(entry.path());
      if (entry.path().filename().string().starts_with(".")) continue;
      for (int n = 0; file >> n;) rows.push_back(n);
    }
    std::ranges::sort(rows);
    std::vector<int> expected;
    for (int n = 1; n <= rows_recorded; ++n) expected.push_back(n);
    ASSERT_EQ(rows, expected);
  }
}

}  // namespace
}  // namespace brigade
