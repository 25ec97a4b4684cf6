#include "cli/one_liner.hpp"

#include "cli/all_components.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace brigade::cli {
namespace {

using texts = std::vector<std::string>;

one_liner line(std::string from, texts stages = {}, std::string to = "ndjson:-") {
  one_liner result;
  result.from = std::move(from);
  result.stages = std::move(stages);
  result.to = std::move(to);
  return result;
}

pipeline_config read(const one_liner& given, const texts& sets = {}) {
  pipeline_config config = read_one_liner(given, sets, all_components());
  static_cast<void>(make_parts(config, all_components()));
  return config;
}

std::string problem_of(const one_liner& given, const texts& sets = {}) {
  try {
    static_cast<void>(read(given, sets));
  } catch (const invalid_pipeline& error) {
    return error.what();
  }
  return {};
}

TEST(one_liner, is_a_pipeline_like_one_from_a_file) {
  one_liner given = line("lines:in.txt", {"exec:./h -v 'two words'", "filter:.ok"}, "ndjson:out");
  given.workers = "16";
  const pipeline_config config = read(given);
  EXPECT_EQ(config.source.what->name, "file");
  EXPECT_EQ(config.source.values.list("path"), texts{"in.txt"});
  EXPECT_EQ(config.source.values.text("format"), "lines");
  ASSERT_EQ(config.stages.size(), 2u);
  EXPECT_EQ(config.stages[0].use.values.list("command"), (texts{"./h", "-v", "two words"}));
  EXPECT_EQ(config.stages[0].policy.workers, 16);
  EXPECT_EQ(config.stages[0].policy.attempt_timeout, std::chrono::seconds(60));
  EXPECT_EQ(config.stages[1].use.values.text("expression"), ".ok");
  EXPECT_EQ(config.sink.use.what->name, "file");
  EXPECT_EQ(config.sink.use.values.text("path"), "out");
  EXPECT_EQ(config.folder, std::filesystem::current_path());
  EXPECT_EQ(config.state, std::filesystem::current_path() / ".brigade");
  EXPECT_TRUE(config.file.empty());
}

TEST(one_liner, standard_streams_are_a_dash_or_a_format_alone) {
  for (const char* from : {"-", "lines:-", "lines", "stdin"}) {
    EXPECT_EQ(read(line(from)).source.what->name, "stdin") << from;
    EXPECT_EQ(read(line(from)).source.values.text("format"), "lines") << from;
  }
  EXPECT_EQ(read(line("ndjson:-")).source.values.text("format"), "ndjson");
  EXPECT_EQ(read(line("csv:a.csv")).source.values.text("format"), "csv");
  for (const char* to : {"-", "ndjson:-", "ndjson", "stdout"}) {
    EXPECT_EQ(read(line("-", {}, to)).sink.use.what->name, "stdout") << to;
    EXPECT_EQ(read(line("-", {}, to)).sink.use.values.text("format"), "ndjson") << to;
  }
  EXPECT_EQ(read(line("-", {}, "lines")).sink.use.values.text("format"), "lines");
}

TEST(one_liner, a_component_has_its_one_value_or_its_fields_in_braces) {
  EXPECT_EQ(read(line("generate:item: {n}")).source.values.text("text"), "item: {n}");
  const pipeline_config counted = read(line("generate:{json: '{\"n\": {n}}', count: 5}"));
  EXPECT_EQ(counted.source.values.integer("count"), 5);
  EXPECT_EQ(read(line("-", {"jq:{a: .b}"})).stages[0].use.values.text("program"), "{a: .b}");
  const auto sqlite = read(line("-", {}, "sqlite:{file: out.db, table: t}"));
  EXPECT_EQ(sqlite.sink.use.values.text("table"), "t");
  EXPECT_EQ(read(line("-", {}, "null")).sink.use.what->name, "null");
}

TEST(one_liner, the_same_line_has_the_same_name_and_another_has_another) {
  const std::string name = read(line("lines:a", {"jq:.", "jq:."}, "ndjson:b")).name;
  EXPECT_EQ(name, read(line("lines:a", {"jq:.", "jq:."}, "ndjson:b")).name);
  EXPECT_NE(name, read(line("lines:a", {"jq:."}, "ndjson:b")).name);
  EXPECT_NE(name, read(line("lines:c", {"jq:.", "jq:."}, "ndjson:b")).name);
  one_liner more = line("lines:a", {"jq:.", "jq:."}, "ndjson:b");
  more.workers = "8";
  EXPECT_EQ(name, read(more).name);
  EXPECT_EQ(name.substr(0, 4), "run-");
}

TEST(one_liner, values_of_it_can_be_set) {
  const one_liner given = line("lines:a", {"exec:./h"});
  EXPECT_EQ(read(given, {"stages.exec.retry.attempts=2"}).stages[0].policy.retry.attempts_max, 2);
  EXPECT_EQ(problem_of(given, {"stages.exec.retry.attempts=two"}),
            "--set stages.exec.retry.attempts=two: 'attempts': 'two' is not a whole number");
}

TEST(one_liner, mistakes_are_named_by_their_argument) {
  EXPECT_EQ(problem_of(line("lins:a")),
            "--from lins:a: there is no source 'lins'; did you mean 'lines'?");
  EXPECT_EQ(problem_of(line("-", {"exce:./h"})),
            "--do exce:./h: there is no stage 'exce'; did you mean 'exec'?");
  EXPECT_EQ(problem_of(line("stdout:a")), "--from stdout:a: 'stdout' is a sink, not a source");
  EXPECT_EQ(problem_of(line("-", {"exec:./h 'a"})), "--do exec:./h 'a: a ' is not closed");
  EXPECT_EQ(problem_of(line("-", {"exec"})), "--do exec: stage 1: 'exec' needs 'command'");
  EXPECT_EQ(problem_of(line("-", {}, "sqlite:out.db")).substr(0, 60),
            "--to sqlite:out.db: 'sqlite' must be a mapping with its fiel");
  one_liner given = line("-", {"jq:."});
  given.workers = "0";
  EXPECT_EQ(problem_of(given), "-j 0: 'workers' must be at least 1, not 0");
}

TEST(one_liner, splits_words_at_blanks_outside_of_quotes) {
  EXPECT_EQ(split_words("a  b\tc"), (texts{"a", "b", "c"}));
  EXPECT_EQ(split_words(R"(a 'b "c' "d 'e" f\ g "h\"i" '\')"),
            (texts{"a", "b \"c", "d 'e", "f g", "h\"i", "\\"}));
  EXPECT_EQ(split_words("'' $HOME *"), (texts{"", "$HOME", "*"}));
  EXPECT_EQ(split_words("  "), texts{});
  EXPECT_THROW(static_cast<void>(split_words("a \"b")), std::invalid_argument);
}

}  // namespace
}  // namespace brigade::cli
