#include "connect/file_sink.hpp"

#include "connect/components.hpp"
#include "connect/temporary_folder.hpp"
#include "connect/written.hpp"

#include <brigade/async/descriptor.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/connect/file.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <stdexcept>
#include <thread>

namespace brigade {
namespace {

using test::temporary_folder;
using test::write_all;

file_sink_options to(const temporary_folder& folder, std::string path) {
  file_sink_options options;
  options.folder = folder.path().string();
  options.path = std::move(path);
  options.pipeline = "orders";
  return options;
}

std::string open_with(sink& at, const std::string& token) {
  sink_resume resume;
  resume.pipeline = "orders";
  resume.token = token;
  try {
    run(at.open(resume));
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

TEST(file_sink, writes_a_line_an_item) {
  const temporary_folder folder;
  file_sink at(to(folder, "out.ndjson"));
  EXPECT_EQ(open_with(at, {}), "");
  const auto result = write_all(at, {record::json("{\"a\": 1.50}"), record::line("x\ty")});
  EXPECT_EQ(folder.read("out.ndjson"), "{\"a\": 1.50}\n{\"line\":\"x\\ty\"}\n");
  const auto place = file_place::decode(result.token);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->length, 28U);
  EXPECT_EQ(place->path(), folder / "out.ndjson");
  EXPECT_EQ(result.failures.size(), 2U);
}

TEST(file_sink, an_item_without_a_row_fails_alone) {
  const temporary_folder folder;
  file_sink at(to(folder, "out.ndjson"));
  open_with(at, {});
  const auto result = write_all(at, {record::line("\xff"), record::json("1")});
  ASSERT_TRUE(result.failures.at(0).has_value());
  EXPECT_EQ(result.failures[0]->kind, verdict::permanent);
  EXPECT_EQ(result.failures[0]->error, "invalid UTF-8 at byte 1 of the line '\\xff'");
  EXPECT_FALSE(result.failures.at(1).has_value());
  EXPECT_EQ(folder.read("out.ndjson"), "1\n");
}

TEST(file_sink, lines_are_the_text_of_the_field_line) {
  const temporary_folder folder;
  file_sink_options options = to(folder, "out.txt");
  options.format = row_format::lines;
  file_sink at(options);
  open_with(at, {});
  const auto result = write_all(
      at, {record::line("caf\xe9"), record::json(R"({"line":"a\"b","n":1})"),
           record::json(R"({"n":1})"), record::json(R"({"line":"a\nb"})"), record::json("[]")});
  EXPECT_EQ(folder.read("out.txt"), "caf\xe9\na\"b\n");
  EXPECT_FALSE(result.failures.at(1).has_value());
  EXPECT_EQ(result.failures.at(2)->error,
            "it has no text in .line to write as a line; use format: ndjson");
  EXPECT_EQ(result.failures.at(3)->error,
            "its .line holds a newline, so it is no line; use format: ndjson");
  EXPECT_TRUE(result.failures.at(4).has_value());
}

TEST(file_sink, a_restart_cuts_the_file_to_what_was_recorded) {
  const temporary_folder folder;
  std::string token;
  {
    file_sink at(to(folder, "out.ndjson"));
    open_with(at, {});
    token = write_all(at, {record::json("1")}).token;
    write_all(at, {record::json("2")});
  }
  folder.append("out.ndjson", "3 half a li");
  file_sink again(to(folder, "out.ndjson"));
  EXPECT_EQ(open_with(again, token), "");
  EXPECT_EQ(folder.read("out.ndjson"), "1\n");
  write_all(again, {record::json("2")});
  EXPECT_EQ(folder.read("out.ndjson"), "1\n2\n");
}

TEST(file_sink, what_was_there_before_stays) {
  const temporary_folder folder;
  folder.write("out.ndjson", "old\n");
  std::string first;
  {
    file_sink at(to(folder, "out.ndjson"));
    open_with(at, {});
    first = at.first_token();
    write_all(at, {record::json("1")});
  }
  EXPECT_EQ(file_place::decode(first).value_or(file_place{}).length, 4U);
  // Killed before the first batch was recorded: the token of the opening cuts it away.
  file_sink again(to(folder, "out.ndjson"));
  open_with(again, first);
  EXPECT_EQ(folder.read("out.ndjson"), "old\n");
}

TEST(file_sink, a_file_that_lost_what_was_delivered_is_refused) {
  const temporary_folder folder;
  folder.write("out.ndjson", "1\n");
  file_sink at(to(folder, "out.ndjson"));
  EXPECT_EQ(open_with(at, "10 " + folder / "out.ndjson"),
            folder / "out.ndjson" +
                " has 2 bytes, but 10 were delivered to it: restore it, move it away, or run with "
                "--fresh");
}

TEST(file_sink, a_second_sink_on_one_file_is_refused) {
  const temporary_folder folder;
  file_sink one(to(folder, "out.ndjson"));
  EXPECT_EQ(open_with(one, {}), "");
  const std::string token = write_all(one, {record::json("1")}).token;
  write_all(one, {record::json("2")});
  const std::string refusal =
      "another sink writes to " + folder / "out.ndjson" + ": give each a file of its own";
  file_sink other(to(folder, "out.ndjson"));
  EXPECT_EQ(open_with(other, {}), refusal);
  EXPECT_EQ(open_with(other, token), refusal);
  EXPECT_EQ(folder.read("out.ndjson"), "1\n2\n");
}

TEST(file_sink, a_file_that_was_moved_away_is_begun_anew) {
  const temporary_folder folder;
  file_sink at(to(folder, "out.ndjson"));
  EXPECT_EQ(open_with(at, "10 " + folder / "out.ndjson"), "");
  EXPECT_EQ(folder.read("out.ndjson"), "");
}

TEST(file_sink, says_where_it_cannot_write) {
  const temporary_folder folder;
  file_sink nowhere(to(folder, "no/such/folder/out"));
  EXPECT_EQ(open_with(nowhere, {}),
            "cannot write " + folder / "no/such/folder/out" + ": No such file or directory");
  file_sink directory(to(folder, "."));
  EXPECT_NE(open_with(directory, {}), "");
}

TEST(file_sink, a_full_device_is_an_outage_and_leaves_no_half_row) {
  file_sink_options options;
  options.folder = "/";
  options.path = "/dev/full";
  file_sink at(options);
  open_with(at, {});
  // A device cannot be cut back to whole rows, so this one ends the run.
  EXPECT_THROW(write_all(at, {record::json("1")}), fatal_error);
}

TEST(file_sink, a_write_that_fails_half_way_is_taken_back) {
  const temporary_folder folder;
  file_sink at(to(folder, "out.ndjson"));
  open_with(at, {});
  write_all(at, {record::json("1")});
  // A limit on the size of files fails a write in its middle, as a full disk does.
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(write_all(at, {record::json("\"" + std::string(10'000, 'x') + "\"")}), fatal_error);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(folder.read("out.ndjson"), "1\n");
  write_all(at, {record::json("2")});
  EXPECT_EQ(folder.read("out.ndjson"), "1\n2\n");
}

TEST(file_sink, works_without_fsync) {
  const temporary_folder folder;
  file_sink_options options = to(folder, "out.ndjson");
  options.fsync = false;
  file_sink at(options);
  open_with(at, {});
  write_all(at, {record::json("1")});
  EXPECT_EQ(folder.read("out.ndjson"), "1\n");
}

TEST(stdout_sink, writes_more_than_a_pipe_holds) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  std::string got;
  std::thread reader([&] {
    char buffer[5000];
    for (ssize_t n = 0; (n = ::read(fds[0], buffer, sizeof buffer)) > 0;) {
      got.append(buffer, static_cast<std::size_t>(n));
    }
  });
  std::string expected;
  std::vector<record> items;
  for (int i = 0; i < 3000; ++i) {
    items.push_back(record::line("line number " + std::to_string(i) + std::string(50, '.')));
    expected += items.back().json_text() + "\n";
  }
  stdout_sink at(row_format::ndjson, fds[1]);
  open_with(at, {});
  write_all(at, items);
  ::close(fds[1]);
  reader.join();
  ::close(fds[0]);
  EXPECT_EQ(got, expected);
}

TEST(stdout_sink, a_closed_pipe_ends_the_run_not_the_process) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  ::close(fds[0]);
  stdout_sink at(row_format::ndjson, fds[1]);
  open_with(at, {});
  try {
    write_all(at, {record::json("1")});
    ADD_FAILURE() << "no error";
  } catch (const fatal_error& error) {
    EXPECT_STREQ(error.what(), "nobody reads standard output any more");
  }
  ::close(fds[1]);
}

task<> write_one(sink* at, const sink_item* item) {
  const std::span<const sink_item> batch(item, 1);
  auto write = at->write(batch, {});
  const write_result result = co_await std::move(write);
  static_cast<void>(result);
}

// In the middle of it: some is in the pipe, and the rest finds no room. Who joins is told by
// `cancelled`, which is no std::exception.
task<> write_and_cut_off(sink& at, const sink_item& item, int read_end) {
  descriptor pipe(::dup(read_end));
  auto writing = spawn(&write_one, &at, &item);
  co_await pipe.wait_readable();
  writing.cancel("it takes too long");
  bool was_cut_off = false;
  try {
    co_await writing.join();
  } catch (const cancelled&) {
    was_cut_off = true;
  }
  EXPECT_TRUE(was_cut_off);
}

// The guard: the rest of a half-written row goes out before anything else.
TEST(stdout_sink, rows_never_run_into_each_other_when_a_write_is_cut_off) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  stdout_sink at(row_format::ndjson, fds[1]);
  open_with(at, {});
  const payload big(record::json("\"" + std::string(100'000, 'x') + "\""));
  const sink_item item{"id", "key", &big};
  run(write_and_cut_off(at, item, fds[0]));
  ASSERT_EQ(::fcntl(fds[0], F_SETFL, 0), 0);  // the reader below waits in `read`
  std::string got;
  std::thread reader([&] {
    char buffer[5000];
    for (ssize_t n = 0; (n = ::read(fds[0], buffer, sizeof buffer)) > 0;) {
      got.append(buffer, static_cast<std::size_t>(n));
    }
  });
  write_all(at, {record::json("2")});
  ::close(fds[1]);
  reader.join();
  ::close(fds[0]);
  EXPECT_EQ(got, "\"" + std::string(100'000, 'x') + "\"\n2\n");
}

TEST(null_sink, takes_everything) {
  null_sink at;
  open_with(at, {});
  EXPECT_EQ(write_all(at, {record::line("\xff"), record::json("1")}).failures.size(), 2U);
}

TEST(register_file, makes_every_component) {
  registry known;
  register_file(known);
  EXPECT_EQ(known.all().size(), 5U);
  const temporary_folder folder;
  const component& entry = *known.find(component_kind::sink, "file");
  const auto settings = test::settings_for(entry, {{"path", std::string("{name}.out")}});
  const auto at = entry.make_sink(settings, test::context_in(folder.path()));
  open_with(*at, {});
  write_all(*at, {record::json("1")});
  EXPECT_EQ(folder.read("test.out"), "1\n");
}

}  // namespace
}  // namespace brigade
