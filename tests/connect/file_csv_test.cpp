// CSV and compressed files through the source `file` and out of the sinks.
#include "connect/components.hpp"
#include "connect/file_sink.hpp"
#include "connect/file_source.hpp"
#include "connect/temporary_folder.hpp"
#include "connect/written.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/connect/file.hpp>

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using test::temporary_folder;
using test::write_all;
using texts = std::vector<std::string>;

struct reading {
  texts items;        ///< `offset text`, or `offset !why`
  std::string error;  ///< that ended it
  std::vector<partition_mark> marks;
  std::string state;
  std::optional<std::uint64_t> size_total;
};

task<reading> read_all(source& from, reading before) {
  reading now;
  co_await from.open(std::move(before.marks), std::move(before.state));
  now.state = from.state();
  now.size_total = from.size_total();
  mark_builder done;
  try {
    for (;;) {
      std::vector<source_item> items = co_await from.read(3);
      if (items.empty()) break;
      for (const source_item& item : items) {
        done.finish(item.begin, item.end);
        now.items.push_back(std::to_string(item.begin) + " " +
                            (item.undecodable ? "!" + *item.undecodable
                                              : std::string(item.value.get<record>().raw())));
      }
    }
  } catch (const std::runtime_error& error) {
    now.error = error.what();
  }
  now.marks.push_back(partition_mark{from.partitions().at(0), done.at()});
  co_await from.close();
  co_return now;
}

file_source_options in(const temporary_folder& folder, const std::string& path,
                       line_format format = line_format::lines) {
  file_source_options options;
  options.name = "main";
  options.folder = folder.path().string();
  options.paths = {path};
  options.format.what = format;
  return options;
}

reading read(const file_source_options& options, const reading& before = {}) {
  file_source from(options);
  return run(read_all(from, before));
}

std::string gzipped(const std::string& text) {
  std::string out(text.size() + 1000, '\0');
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

TEST(csv_source, reads_rows_and_resumes_between_them) {
  const temporary_folder folder;
  folder.write("a.csv", "id,text\n1,\"two\nlines\"\n2\n");
  const reading first = read(in(folder, "a.csv", line_format::csv));
  EXPECT_EQ(first.items,
            (texts{R"(0 {"id":"1","text":"two\nlines"})", "22 !1 field in a row of 2 columns"}));
  folder.append("a.csv", "3,x\n");
  EXPECT_EQ(read(in(folder, "a.csv", line_format::csv), first).items,
            texts{R"(24 {"id":"3","text":"x"})"});
}

TEST(csv_source, names_the_file_whose_header_is_none) {
  const temporary_folder folder;
  folder.write("a.csv", "\"id\n1\n");
  EXPECT_EQ(read(in(folder, "a.csv", line_format::csv)).error,
            "cannot read " + folder / "a.csv" +
                ": its header is no CSV: the quote of field 1 is never closed");
}

TEST(csv_source, is_another_source_without_a_header) {
  const temporary_folder folder;
  file_source_options options = in(folder, "a.csv", line_format::csv);
  EXPECT_EQ(file_source(options).fingerprint(), "file csv a.csv");
  options.format.csv.header = false;
  EXPECT_EQ(file_source(options).fingerprint(), "file csv without header a.csv");
}

TEST(compressed_source, resumes_at_an_offset_of_the_text) {
  const temporary_folder folder;
  std::string text;
  texts expected;
  for (int i = 0; i < 50'000; ++i) {
    expected.push_back(std::to_string(text.size()) + " " + std::to_string(i));
    text += std::to_string(i) + "\n";
  }
  folder.write("a.gz", gzipped(text));
  const reading whole = read(in(folder, "a.gz"));
  EXPECT_EQ(whole.items, expected);
  EXPECT_EQ(whole.error, "");
  EXPECT_EQ(whole.size_total, std::nullopt);

  reading before = whole;
  before.marks[0].at = mark{};
  before.marks[0].at.low = std::stoull(expected[30'000]);
  EXPECT_EQ(read(in(folder, "a.gz"), before).items,
            texts(expected.begin() + 30'000, expected.end()));
  EXPECT_EQ(read(in(folder, "a.gz"), whole).items, texts{});
}

TEST(compressed_source, knows_a_header_too) {
  const temporary_folder folder;
  folder.write("a.csv.gz", gzipped("id\n1\n2\n") + gzipped("3\n"));
  reading before = read(in(folder, "a.csv.gz", line_format::csv));
  EXPECT_EQ(before.items, (texts{R"(0 {"id":"1"})", R"(5 {"id":"2"})", R"(7 {"id":"3"})"}));
  before.marks[0].at = mark{};
  before.marks[0].at.low = 5;
  EXPECT_EQ(read(in(folder, "a.csv.gz", line_format::csv), before).items,
            (texts{R"(5 {"id":"2"})", R"(7 {"id":"3"})"}));
}

TEST(compressed_source, gives_the_lines_before_the_damage_and_no_half_one) {
  const temporary_folder folder;
  std::string text;
  texts expected;
  for (int i = 0; i < 50'000; ++i) {
    expected.push_back(std::to_string(text.size()) + " " + std::to_string(i * 7919));
    text += std::to_string(i * 7919) + "\n";
  }
  const std::string whole = gzipped(text);
  folder.write("a.gz", whole.substr(0, whole.size() / 2));
  const reading damaged = read(in(folder, "a.gz"));
  EXPECT_GT(damaged.items.size(), 10'000U);
  EXPECT_EQ(damaged.items, texts(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(
                                                                          damaged.items.size())));
  EXPECT_NE(damaged.error.find("a.gz: its gzip data is damaged behind "), std::string::npos);

  folder.write("b.gz", gzipped("one\n"));
  reading before = read(in(folder, "b.gz"));
  before.marks[0].at.low = 100;
  EXPECT_EQ(
      read(in(folder, "b.gz"), before).error,
      "cannot read " + folder / "b.gz" + ": it holds 4 bytes, but 100 were read of it before");
}

file_sink_options to(const temporary_folder& folder, texts columns = {}) {
  file_sink_options options;
  options.folder = folder.path().string();
  options.path = "out.csv";
  options.pipeline = "orders";
  options.format = row_format::csv;
  options.columns = std::move(columns);
  return options;
}

std::string open_with(sink& at, const std::string& token = {}) {
  sink_resume resume;
  resume.token = token;
  try {
    run(at.open(resume));
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

std::string why(const write_result& result, std::size_t item) {
  return result.failures.at(item) ? result.failures[item]->error : "written";
}

TEST(csv_sink, writes_the_columns_of_the_first_item) {
  const temporary_folder folder;
  file_sink at(to(folder));
  EXPECT_EQ(open_with(at), "");
  const auto result = write_all(at, {record::json("[1]"), record::json("{}"),
                                     record::json(R"({"id": 1.50, "a,b": "x\n\"y\"", "n": null})"),
                                     record::json(R"({"n": {"k": [1, 2]}, "id": true})"),
                                     record::json(R"({"more": 1})"), record::line("x")});
  EXPECT_EQ(why(result, 0), "it is no object, so it has no columns: '[1]'");
  EXPECT_EQ(why(result, 1), "it has no fields to name the columns after");
  EXPECT_EQ(why(result, 2), "written");
  EXPECT_EQ(why(result, 3), "written");
  EXPECT_EQ(why(result, 4),
            "its field 'more' is no column of the file; name the columns to write in 'columns'");
  EXPECT_EQ(why(result, 5),
            "its field 'line' is no column of the file; name the columns to write in 'columns'");
  EXPECT_EQ(folder.read("out.csv"),
            "id,\"a,b\",n\n1.50,\"x\n\"\"y\"\"\",\ntrue,,\"{\"\"k\"\": [1, 2]}\"\n");
}

TEST(csv_sink, writes_the_columns_it_is_told_and_leaves_others_out) {
  const temporary_folder folder;
  file_sink at(to(folder, {"b", "a"}));
  open_with(at);
  write_all(at, {record::json(R"({"a":1,"b":2,"c":3})"), record::json(R"({"c":1})")});
  EXPECT_EQ(folder.read("out.csv"), "b,a\n2,1\n,\n");
}

TEST(csv_sink, a_row_of_one_empty_cell_is_a_row) {
  const temporary_folder folder;
  file_sink at(to(folder, {"a"}));
  open_with(at);
  write_all(at, {record::json(R"({"a":""})"), record::json("{}")});
  EXPECT_EQ(folder.read("out.csv"), "a\n\"\"\n\"\"\n");
}

TEST(csv_sink, goes_on_in_the_columns_of_the_file) {
  const temporary_folder folder;
  std::string token;
  {
    file_sink at(to(folder));
    open_with(at);
    token = write_all(at, {record::json(R"({"a":1,"b":2})")}).token;
    run(at.close());
  }
  folder.append("out.csv", "half a r");
  file_sink again(to(folder));
  EXPECT_EQ(open_with(again, token), "");
  write_all(again, {record::json(R"({"b":4,"a":3})")});
  EXPECT_EQ(folder.read("out.csv"), "a,b\n1,2\n3,4\n");
  run(again.close());
  file_sink others(to(folder, {"a"}));
  EXPECT_EQ(open_with(others), folder / "out.csv" +
                                   " has the columns a,b, not a: move it away, or write to "
                                   "another");
}

TEST(csv_sink, begins_with_the_header_again_when_the_file_was_cut_to_nothing) {
  const temporary_folder folder;
  file_sink at(to(folder));
  open_with(at);
  const std::string nothing = at.first_token();
  write_all(at, {record::json(R"({"a":1})")});
  run(at.close());
  file_sink again(to(folder));
  EXPECT_EQ(open_with(again, nothing), "");
  EXPECT_EQ(folder.read("out.csv"), "");
  write_all(again, {record::json("1")});
  EXPECT_EQ(folder.read("out.csv"), "");
  write_all(again, {record::json(R"({"b":2})")});
  EXPECT_EQ(folder.read("out.csv"), "b\n2\n");
}

TEST(csv_sink, each_file_it_rotates_to_has_the_header) {
  const temporary_folder folder;
  file_sink_options options = to(folder);
  options.rotate_bytes = 8;
  file_sink at(options);
  open_with(at);
  for (const char* const item : {R"({"a":1,"b":2})", R"({"b":4})", R"({"a":5})"}) {
    write_all(at, {record::json(item)});
  }
  EXPECT_EQ(folder.read("out.csv"), "a,b\n1,2\n");
  EXPECT_EQ(folder.read("out.1.csv"), "a,b\n,4\n");
  EXPECT_EQ(folder.read("out.2.csv"), "a,b\n5,\n");
}

TEST(csv_sink, goes_on_under_no_other_header) {
  const temporary_folder folder;
  file_sink_options options = to(folder);
  std::time_t now = 0;
  options.path = "%s.csv";  // seconds since 1970
  options.now = [&] { return now; };
  folder.write("1.csv", "\"a\",b\r\n");
  folder.write("2.csv", "a,c\n");
  file_sink at(options);
  open_with(at);
  for (now = 0; now < 2; ++now) write_all(at, {record::json(R"({"a":1,"b":2})")});
  EXPECT_EQ(folder.read("1.csv"), "\"a\",b\r\n1,2\n");
  EXPECT_THROW(write_all(at, {record::json(R"({"a":1,"b":2})")}), fatal_error);
  EXPECT_EQ(folder.read("2.csv"), "a,c\n");
}

TEST(csv_sink, begins_again_where_somebody_emptied_the_file) {
  const temporary_folder folder;
  file_sink at(to(folder));
  open_with(at);
  write_all(at, {record::json(R"({"a":1})")});
  folder.write("out.csv", "");
  write_all(at, {record::json(R"({"a":2})")});
  EXPECT_EQ(folder.read("out.csv"), "a\n2\n");
}

TEST(csv_sink, refuses_a_file_without_a_header) {
  const temporary_folder folder;
  for (const char* const text : {"a,a\n1,2\n", "\"a\n", "caf\xe9\n"}) {
    folder.write("out.csv", text);
    file_sink at(to(folder));
    EXPECT_EQ(open_with(at), folder / "out.csv" +
                                 " has no header of CSV to go on with: move it away, or write to "
                                 "another");
  }
}

TEST(csv_sink, standard_output_has_a_header_once) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::pipe(fds.data()), 0);
  const file_handle read_end(fds[0]);
  {
    const file_handle write_end(fds[1]);
    stdout_sink at(row_format::csv, fds[1]);
    write_all(at, {record::json(R"({"a":1})")});
    write_all(at, {record::json(R"({"a":"x\ny"})")});
  }
  std::array<char, 100> text{};
  const ssize_t got = ::read(read_end.fd(), text.data(), text.size());
  EXPECT_EQ(std::string(text.data(), static_cast<std::size_t>(got)), "a\n1\n\"x\ny\"\n");
}

TEST(csv_rows, end_behind_their_quotes) {
  const std::string text = "a,\"b\n\"\"c\"\nd\n";
  EXPECT_EQ(end_of_row(row_format::csv, text, 0), 10U);
  EXPECT_EQ(end_of_row(row_format::csv, text, 4), 10U);
  EXPECT_EQ(end_of_row(row_format::csv, text, 9), 10U);
  EXPECT_EQ(end_of_row(row_format::csv, text, 10), 12U);
  EXPECT_EQ(end_of_row(row_format::ndjson, text, 0), 5U);
}

std::string refusal(component_kind kind, const std::string& name,
                    std::vector<std::pair<std::string, field_value>> given) {
  registry known;
  register_file(known);
  const component* const what = known.find(kind, name);
  if (kind == component_kind::source) given.emplace_back("path", texts{"a"});
  if (kind == component_kind::sink) given.emplace_back("path", std::string("a"));
  const settings values = test::settings_for(*what, std::move(given));
  return test::config_error_of([&] {
    if (kind == component_kind::source) what->make_source(values, test::context_in("."));
    if (kind == component_kind::sink) what->make_sink(values, test::context_in("."));
  });
}

TEST(csv_fields, belong_to_csv) {
  using enum component_kind;
  const auto csv = std::pair<std::string, field_value>("format", std::string("csv"));
  const auto no_header = std::pair<std::string, field_value>("header", false);
  using table = std::map<std::string, std::string>;
  EXPECT_EQ(refusal(source, "file", {no_header}), "header: only format: csv has a header");
  EXPECT_EQ(refusal(source, "file", {{"columns", texts{"a"}}}),
            "columns: only format: csv has columns");
  EXPECT_EQ(refusal(source, "file", {{"types", table{{"a", "int"}}}}),
            "types: only format: csv has columns with types");
  EXPECT_EQ(refusal(source, "file", {csv, {"columns", texts{"a"}}}),
            "columns: the first row names the columns; with header: false they can be given");
  EXPECT_EQ(refusal(source, "file", {csv, no_header, {"columns", texts{"a", "a"}}}),
            "columns: the column 'a' is there twice");
  EXPECT_EQ(refusal(source, "file", {csv, no_header, {"types", table{{"a", "int"}}}}),
            "types: there is no column 'a'");
  EXPECT_EQ(refusal(source, "file", {csv, {"types", table{{"a", "integer"}}}}),
            "types: 'integer' of 'a' is no type: int, float, bool or text");
  EXPECT_EQ(refusal(source, "file", {csv, {"types", table{{"a", "int"}}}}), "");
  EXPECT_EQ(refusal(sink, "file", {{"columns", texts{"a"}}}),
            "columns: only format: csv has columns");
  EXPECT_EQ(refusal(sink, "file", {csv, {"columns", texts{""}}}), "columns: a column has no name");
}

}  // namespace
}  // namespace brigade
