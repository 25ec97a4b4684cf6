#include "connect/file_source.hpp"

#include "connect/components.hpp"
#include "connect/file_stdin.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/connect/file.hpp>
#include <brigade/pipeline/log.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>
#include <stdexcept>

namespace brigade {
namespace {

using test::temporary_folder;

file_source_options in(const temporary_folder& folder, std::vector<std::string> paths,
                       line_format format = line_format::lines) {
  file_source_options options;
  options.name = "main";
  options.folder = folder.path().string();
  options.paths = std::move(paths);
  options.format.what = format;
  return options;
}

struct outcome_of_run {
  std::vector<std::string> items;  ///< `offset text`, or `offset !why`
  std::vector<std::string> partitions;
  std::vector<partition_mark> marks;  ///< with everything finished
  std::string state;
};

task<outcome_of_run> read_all(source& from, std::vector<partition_mark> resume, std::string state,
                              std::size_t items_max) {
  outcome_of_run run;
  co_await from.open(std::move(resume), std::move(state));
  run.state = from.state();
  const auto keep_state = [&](source::state_kept when) {
    if (auto changed = from.changed_state(when)) run.state = *std::move(changed);
  };
  std::vector<mark_builder> done;
  for (;;) {
    std::vector<source_item> items = co_await from.read(items_max);
    if (items.empty()) break;
    EXPECT_LE(items.size(), items_max);
    done.resize(from.partitions().size());
    for (const source_item& item : items) {
      done[item.partition].finish(item.begin, item.end);
      run.items.push_back(std::to_string(item.begin) + " " +
                          (item.undecodable ? "!" + *item.undecodable
                                            : std::string(item.value.get<record>().raw())));
    }
  }
  keep_state(source::state_kept::at_end);
  run.partitions = from.partitions();
  done.resize(run.partitions.size());
  for (std::size_t i = 0; i < done.size(); ++i) {
    run.marks.push_back(partition_mark{run.partitions[i], done[i].at()});
  }
  co_await from.close();
  co_return run;
}

outcome_of_run read(file_source_options options, std::vector<partition_mark> resume = {},
                    std::string state = {}, std::size_t items_max = 100) {
  file_source from(std::move(options));
  return run(read_all(from, std::move(resume), std::move(state), items_max));
}

std::string error_of(const file_source_options& options, const outcome_of_run& before = {}) {
  try {
    read(options, before.marks, before.state);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

using texts = std::vector<std::string>;

TEST(file_source, gives_lines_by_their_offsets) {
  const temporary_folder folder;
  folder.write("a.txt", "one\n\nthree");
  const auto run = read(in(folder, {"a.txt"}));
  EXPECT_EQ(run.items, (texts{"0 one", "4 ", "5 three"}));
  ASSERT_EQ(run.partitions.size(), 1U);
  EXPECT_EQ(run.partitions[0].substr(0, 5), "main:");
  EXPECT_EQ(run.partitions[0].size(), 13U);
  EXPECT_EQ(run.partitions[0].find_first_not_of("0123456789abcdef", 5), std::string::npos);
}

TEST(file_source, dead_letters_what_is_not_json_and_skips_blank_lines) {
  const temporary_folder folder;
  folder.write("a.ndjson", "{\"a\":1}\n\nrubbish\n[2]\n\"\xff\"\n\n");
  EXPECT_EQ(read(in(folder, {"a.ndjson"}, line_format::ndjson)).items,
            (texts{"0 {\"a\":1}", "8 !not JSON: expected a value at byte 1", "17 [2]",
                   "21 !not JSON: invalid UTF-8 at byte 2"}));
}

TEST(file_source, an_empty_file_is_no_items_and_no_error) {
  const temporary_folder folder;
  folder.write("a.txt", "");
  EXPECT_EQ(read(in(folder, {"a.txt"})).items, texts{});
}

TEST(file_source, gives_no_more_items_than_asked_for) {
  const temporary_folder folder;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += std::to_string(i) + "\n";
  folder.write("a.txt", text);
  EXPECT_EQ(read(in(folder, {"a.txt"}), {}, {}, 7).items.size(), 1000U);
}

TEST(file_source, lines_may_cross_its_chunks) {
  const temporary_folder folder;
  std::mt19937 random(3);
  std::string text;
  std::vector<std::string> expected;
  while (text.size() < 1'500'000) {
    std::string line(random() % 300'000, static_cast<char>('a' + random() % 26));
    expected.push_back(std::to_string(text.size()) + " " + line);
    text += line + "\n";
  }
  folder.write("a.txt", text);
  EXPECT_EQ(read(in(folder, {"a.txt"})).items, expected);
}

TEST(file_source, reads_what_a_glob_matches_in_order_and_no_file_twice) {
  const temporary_folder folder;
  folder.write("b.log", "b\n");
  folder.write("a.log", "a\n");
  folder.write("c.txt", "c\n");
  ::mkdir((folder / "d.log").c_str(), 0700);
  const auto run = read(in(folder, {"*.log", "a.log", "c.txt"}));
  EXPECT_EQ(run.items, (texts{"0 a", "0 b", "0 c"}));
  EXPECT_EQ(run.partitions.size(), 3U);
}

TEST(file_source, a_folder_with_glob_characters_is_only_a_name) {
  const temporary_folder folder;
  ::mkdir((folder / "[x]").c_str(), 0700);
  folder.write("[x]/a.log", "a\n");
  file_source_options options = in(folder, {"*.log"});
  options.folder = folder / "[x]";
  EXPECT_EQ(read(options).items, texts{"0 a"});
}

TEST(file_source, names_what_it_cannot_read) {
  const temporary_folder folder;
  ::mkdir((folder / "sub").c_str(), 0700);
  ::mkfifo((folder / "pipe").c_str(), 0600);
  EXPECT_EQ(error_of(in(folder, {"absent.txt"})),
            "cannot read " + folder / "absent.txt" + ": No such file or directory");
  EXPECT_EQ(error_of(in(folder, {"*.log"})), "no file matches " + folder / "*.log");
  EXPECT_EQ(error_of(in(folder, {"sub"})), "cannot read " + folder / "sub" +
                                               ": it is a directory; write " + folder / "sub" +
                                               "/* for the files in it");
  EXPECT_EQ(error_of(in(folder, {"pipe"})),
            "cannot read " + folder / "pipe" +
                ": it is no regular file; read pipes and devices through the source stdin");
}

TEST(file_source, resumes_behind_the_mark_under_the_same_token) {
  const temporary_folder folder;
  folder.write("a.txt", "one\ntwo\n");
  const auto first = read(in(folder, {"a.txt"}));
  folder.append("a.txt", "three\n");
  const auto second = read(in(folder, {"a.txt"}), first.marks, first.state);
  EXPECT_EQ(second.items, texts{"8 three"});
  EXPECT_EQ(second.partitions, first.partitions);
  EXPECT_EQ(read(in(folder, {"a.txt"}), first.marks, first.state).items, texts{"8 three"});
}

TEST(file_source, gives_again_what_is_not_finished_below_what_is) {
  const temporary_folder folder;
  folder.write("a.txt", "a\nb\nc\nd\n");
  auto first = read(in(folder, {"a.txt"}));
  mark_builder done;
  done.finish(0, 2);
  done.finish(4, 6);
  first.marks[0].at = done.at();
  EXPECT_EQ(read(in(folder, {"a.txt"}), first.marks, first.state).items, (texts{"2 b", "6 d"}));
}

TEST(file_source, offsets_are_the_same_from_wherever_it_resumes) {
  const temporary_folder folder;
  folder.write("a.ndjson", "\xEF\xBB\xBF\n\n1\n\n \n2\r\n\n3\n\n");
  const auto whole = read(in(folder, {"a.ndjson"}, line_format::ndjson));
  ASSERT_EQ(whole.items.size(), 3U);
  std::uint64_t low = 0;
  for (std::size_t skipped = 0; skipped < whole.items.size(); ++skipped) {
    auto resume = whole.marks;
    resume[0].at = mark{};
    low = std::stoull(whole.items[skipped]);
    resume[0].at.low = low;
    const auto rest = read(in(folder, {"a.ndjson"}, line_format::ndjson), resume, whole.state);
    EXPECT_EQ(rest.items,
              texts(whole.items.begin() + static_cast<std::ptrdiff_t>(skipped), whole.items.end()));
  }
}

TEST(file_source, a_token_stays_with_a_file_that_is_renamed) {
  const temporary_folder folder;
  folder.write("a.log", "one\n");
  const auto first = read(in(folder, {"*.log"}));
  ::rename((folder / "a.log").c_str(), (folder / "a.1.log").c_str());
  folder.write("a.log", "one\ntwo\n");
  const auto second = read(in(folder, {"*.log"}), first.marks, first.state);
  EXPECT_EQ(second.items, (texts{"0 one", "4 two"}));
  EXPECT_EQ(second.partitions[0], first.partitions[0]);
}

// Row 3 of the reliability table. The guards: inode, time of birth, and the hash of the first
// bytes.
TEST(file_source, another_file_of_the_same_name_is_read_from_its_beginning) {
  const temporary_folder folder;
  folder.write("a.log", "one\n");
  auto before = read(in(folder, {"a.log"}));
  for (int round = 0; round < 20; ++round) {
    ::unlink((folder / "a.log").c_str());
    folder.write("a.log", "one\ntwo\n");
    const auto now = read(in(folder, {"a.log"}), before.marks, before.state);
    ASSERT_EQ(now.items, (texts{"0 one", "4 two"})) << round;
    ASSERT_NE(now.partitions, before.partitions);
    before = now;
  }
}

TEST(file_source, new_content_in_the_same_file_is_a_new_file) {
  const temporary_folder folder;
  folder.write("a.log", "one\ntwo\nthree\n");
  const auto first = read(in(folder, {"a.log"}));
  folder.write("a.log", "uno\ndue\ntre\nquattro\ncinque\n");
  const auto longer = read(in(folder, {"a.log"}), first.marks, first.state);
  EXPECT_EQ(longer.items.size(), 5U);
  EXPECT_NE(longer.partitions, first.partitions);
}

// Guard: a file that is shorter than what was finished of it is another one.
TEST(file_source, a_file_that_became_shorter_than_its_mark_is_a_new_file) {
  const temporary_folder folder;
  std::string text;
  for (int i = 1000; i < 1100; ++i) text += std::to_string(i) + "\n";
  folder.write("a.log", text);
  const auto first = read(in(folder, {"a.log"}));
  ::truncate((folder / "a.log").c_str(), 200);
  std::vector<std::string> said;
  const log_to here([&](std::string_view line) { said.emplace_back(line); });
  const auto second = read(in(folder, {"a.log"}), first.marks, first.state);
  EXPECT_EQ(second.items.size(), 40U);
  EXPECT_NE(second.partitions, first.partitions);
  EXPECT_EQ(said, texts{folder / "a.log" +
                        " has 200 bytes, but 500 were read of it before: it is read from its "
                        "beginning"});
}

// Guard: the bytes before the place up to which it was read; the first 4 KiB are the same.
TEST(file_source, new_content_behind_an_equal_head_is_a_new_file) {
  const temporary_folder folder;
  const std::string head = std::string(8000, 'h') + "\n";
  folder.write("a.log", head + "one\n");
  const auto first = read(in(folder, {"a.log"}));
  folder.write("a.log", head + "uno\ntwo\n");
  EXPECT_EQ(read(in(folder, {"a.log"}), first.marks, first.state).items.size(), 3U);
}

TEST(file_source, a_fresh_start_keeps_the_token) {
  const temporary_folder folder;
  folder.write("a.log", "one\n");
  const auto first = read(in(folder, {"a.log"}));
  const auto fresh = read(in(folder, {"a.log"}), {}, first.state);
  EXPECT_EQ(fresh.items, texts{"0 one"});
  EXPECT_EQ(fresh.partitions, first.partitions);
}

TEST(file_source, refuses_a_damaged_state) {
  const temporary_folder folder;
  folder.write("a.log", "one\n");
  for (const char* const state :
       {"x", "[]", "{}", R"({"files":[{}]})", R"({"files":[{"token":1}]})"}) {
    outcome_of_run before;
    before.state = state;
    EXPECT_EQ(error_of(in(folder, {"a.log"}), before),
              "what the ledger keeps of the source's files is damaged");
  }
}

TEST(file_source, reports_sizes_and_what_identifies_it) {
  const temporary_folder folder;
  folder.write("a.log", "12345");
  folder.write("b.log", "123");
  file_source from(in(folder, {"a.log", "b.log"}));
  run(from.open({}, {}));
  EXPECT_EQ(from.size_total(), 8U);
  EXPECT_TRUE(from.finite());
  EXPECT_TRUE(from.replayable());
  EXPECT_EQ(from.fingerprint(), "file lines a.log b.log");
}

task<std::vector<source_item>> read_impatiently(source& from) { co_return co_await from.read(100); }

task<std::string> cancel_and_read_again(source& from) {
  co_await from.open({}, {});
  std::string text;
  try {
    auto attempt = read_impatiently(from);
    std::vector<source_item> items =
        co_await timeout(std::chrono::nanoseconds(0), std::move(attempt));
    for (const source_item& item : items) text += item.value.get<record>().raw();
  } catch (const timed_out&) {
    text += "cancelled,";
  }
  std::vector<source_item> items = co_await from.read(100);
  for (const source_item& item : items) text += item.value.get<record>().raw();
  co_return text;
}

TEST(file_source, a_cancelled_read_loses_nothing) {
  const temporary_folder folder;
  folder.write("a.log", "one\ntwo\n");
  file_source from(in(folder, {"a.log"}));
  EXPECT_EQ(run(cancel_and_read_again(from)), "cancelled,onetwo");
}

TEST(file_source, checks_its_settings) {
  registry known;
  register_file(known);
  const component& entry = *known.find(component_kind::source, "file");
  const auto error = [&](std::vector<std::pair<std::string, field_value>> given) {
    return test::config_error_of([&] {
      entry.make_source(test::settings_for(entry, std::move(given)), test::context_in("."));
    });
  };
  EXPECT_EQ(error({{"path", std::vector<std::string>{}}}), "path: the list has no file in it");
  EXPECT_EQ(error({{"path", std::vector<std::string>{""}}}), "path: a path is empty");
  EXPECT_EQ(error({{"path", std::vector<std::string>{"a"}}, {"max_line", std::int64_t{0}}}),
            "max_line: a line must be allowed at least one byte");
  EXPECT_EQ(error({{"path", std::vector<std::string>{"a"}}}), "");
}

/// A pipe: what is written to one end is read from the other.
struct pipe_ends {
  pipe_ends() { EXPECT_EQ(::pipe(fds), 0); }
  ~pipe_ends() {
    ::close(fds[0]);
    end();
  }
  void put(const std::string& text) const {
    EXPECT_EQ(::write(fds[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void end() {
    if (fds[1] >= 0) ::close(std::exchange(fds[1], -1));
  }
  int fds[2] = {-1, -1};
};

TEST(stdin_source, gives_lines_to_the_end) {
  pipe_ends pipe;
  pipe.put("one\ntwo\r\nthree");
  pipe.end();
  stdin_source from("main", text_format{.what = line_format::lines}, pipe.fds[0]);
  const auto run_ = run(read_all(from, {}, {}, 100));
  EXPECT_EQ(run_.items, (texts{"0 one", "4 two", "9 three"}));
  EXPECT_EQ(run_.partitions.size(), 1U);
  EXPECT_FALSE(from.replayable());
}

TEST(stdin_source, nothing_at_all_is_no_items) {
  pipe_ends pipe;
  pipe.end();
  stdin_source from("main", text_format{.what = line_format::ndjson}, pipe.fds[0]);
  EXPECT_EQ(run(read_all(from, {}, {}, 100)).items, texts{});
}

TEST(stdin_source, reads_a_regular_file_too) {
  const temporary_folder folder;
  folder.write("a", "{}\n\nx\n");
  const auto file = file_handle::open_to_read(folder / "a");
  stdin_source from("main", text_format{.what = line_format::ndjson}, file.fd());
  EXPECT_EQ(run(read_all(from, {}, {}, 1)).items,
            (texts{"0 {}", "3 !not JSON: expected a value at byte 1"}));
}

task<std::string> wait_in_vain_then_read(source& from, const pipe_ends& pipe) {
  co_await from.open({}, {});
  std::string text;
  try {
    auto attempt = read_impatiently(from);
    auto limited = timeout(std::chrono::milliseconds(1), std::move(attempt));
    std::vector<source_item> none = co_await std::move(limited);
  } catch (const timed_out&) {
    text = "cancelled,";
  }
  pipe.put("one\n");
  std::vector<source_item> items = co_await from.read(100);
  for (const source_item& item : items) text += item.value.get<record>().raw();
  co_return text;
}

TEST(stdin_source, a_cancelled_read_loses_nothing) {
  const pipe_ends pipe;
  stdin_source from("main", text_format{.what = line_format::lines}, pipe.fds[0]);
  EXPECT_EQ(run(wait_in_vain_then_read(from, pipe)), "cancelled,one");
}

TEST(stdin_source, says_when_it_cannot_read) {
  const temporary_folder folder;
  const file_handle not_readable = file_handle::open_to_append(folder / "x");
  stdin_source broken("main", text_format{}, not_readable.fd());
  EXPECT_THROW(run(read_all(broken, {}, {}, 100)), std::runtime_error);
}

}  // namespace
}  // namespace brigade
