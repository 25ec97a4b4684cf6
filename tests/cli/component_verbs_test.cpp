#include "cli/all_components.hpp"
#include "cli/component_text.hpp"
#include "cli/verbs.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace brigade::cli {
namespace {

struct said {
  int exit_code = 0;
  std::string out;
  std::string err;
};

said help(std::vector<std::string> words) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = help_verb(help_options{std::move(words)}, all_components(), out, err);
  return {code, out.str(), err.str()};
}

said make_new(std::vector<std::string> words) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = new_verb(new_options{std::move(words)}, all_components(), out, err);
  return {code, out.str(), err.str()};
}

pipeline_config read(const std::string& text) {
  pipeline_text input;
  input.text = text;
  input.shown = "new.yaml";
  input.file = "/tmp/new.yaml";
  input.lookup = [](const std::string&) { return std::nullopt; };
  return read_pipeline(input, all_components());
}

/// Empty, or why the text is no pipeline file whose parts can be made.
std::string trouble_with(const std::string& text) {
  try {
    pipeline_config config = read(text);
    static_cast<void>(make_parts(config, all_components()));
  } catch (const invalid_pipeline& error) {
    return error.what() + ("\n" + text);
  }
  return {};
}

std::vector<std::string> names(component_kind kind) {
  std::vector<std::string> result;
  for (const component* const one : components_of(all_components(), kind)) {
    result.push_back(one->name);
  }
  return result;
}

TEST(expressions, of_a_stage_may_need_libjq_though_its_attempts_have_a_time_limit) {
  const auto with = [](const std::string& stage) {
    return trouble_with("source: { stdin: {} }\nstages: [ { " + stage +
                        " } ]\nsink: { stdout: {} }\n");
  };
  EXPECT_EQ(with("exec: [cat], when: .n % 2 == 0"), "");
  EXPECT_EQ(with("exec: [cat], queue: { kind: { priority: '-.n' } }"), "");
  EXPECT_NE(with("exec: [cat], when: '.n %'"), "");
  EXPECT_NE(with("filter: .n % 2 == 0, timeout: 5s"), "");
}

TEST(component_verbs, list_has_a_line_for_every_component) {
  std::ostringstream out;
  EXPECT_EQ(list_verb(all_components(), out), 0);
  for (const component& one : all_components().all()) {
    EXPECT_NE(out.str().find(one.doc + "\n"), std::string::npos) << one.name;
  }
  EXPECT_LT(out.str().find("sources\n"), out.str().find("stages\n"));
  EXPECT_LT(out.str().find("stages\n"), out.str().find("sinks\n"));
}

TEST(component_verbs, help_has_every_field_with_type_default_and_example) {
  for (const component& one : all_components().all()) {
    const said told = help({one.name});
    EXPECT_EQ(told.exit_code, 0);
    EXPECT_NE(told.out.find(one.doc), std::string::npos) << one.name;
    for (const field_spec& field : one.fields) {
      EXPECT_NE(told.out.find(type_text(field) + "; " +
                              (field.required           ? "required"
                               : field.fallback.empty() ? "no default"
                                                        : "default " + field.fallback) +
                              "\n"),
                std::string::npos)
          << one.name << "." << field.name;
      EXPECT_NE(told.out.find(field.doc), std::string::npos) << one.name << "." << field.name;
      EXPECT_NE(told.out.find("e.g.  " + field.name + ": " + example_value(field)),
                std::string::npos)
          << one.name << "." << field.name;
    }
  }
}

TEST(component_verbs, help_of_a_name_that_is_two_components_shows_both_or_the_one_meant) {
  const std::string both = help({"file"}).out;
  EXPECT_NE(both.find("source file\n"), std::string::npos);
  EXPECT_NE(both.find("sink file\n"), std::string::npos);
  const std::string sink = help({"sink", "file"}).out;
  EXPECT_EQ(sink.find("source file\n"), std::string::npos);
  EXPECT_EQ(sink.rfind("sink file\n", 0), 0u);
}

TEST(component_verbs, help_of_what_is_not_there_is_exit_2_and_a_suggestion) {
  EXPECT_EQ(help({"fiel"}).exit_code, 2);
  EXPECT_EQ(help({"fiel"}).err, "brigade: there is no component 'fiel'; did you mean 'file'?\n");
  EXPECT_EQ(help({"quorum"}).err,
            "brigade: there is no component 'quorum'; `brigade list` shows what there is\n");
  EXPECT_EQ(help({"source", "jq"}).err, "brigade: 'jq' is a stage, not a source\n");
  EXPECT_EQ(help({"pump", "file"}).err,
            "brigade: 'pump' is no kind of component: write source, stage or sink\n");
}

TEST(component_verbs, new_makes_files_that_check_accepts_of_everything_there_is) {
  for (const std::string& source : names(component_kind::source)) {
    for (const std::string& sink : names(component_kind::sink)) {
      const said told = make_new({source, sink});
      EXPECT_EQ(told.exit_code, 0) << source << " " << sink;
      EXPECT_EQ(trouble_with(told.out), "");
      EXPECT_EQ(read(told.out).source.what->name, source);
      EXPECT_EQ(read(told.out).sink.use.what->name, sink);
    }
  }
  std::vector<std::string> all = names(component_kind::stage);
  const said told = make_new(all);
  EXPECT_EQ(trouble_with(told.out), "");
  EXPECT_EQ(read(told.out).stages.size(), all.size());
  EXPECT_EQ(read(told.out).source.what->name, "stdin");
  EXPECT_EQ(read(told.out).sink.use.what->name, "stdout");
}

TEST(component_verbs, what_new_has_as_comments_can_be_used_too) {
  std::vector<std::string> words = {"file"};
  for (const std::string& stage : names(component_kind::stage)) words.push_back(stage);
  words.emplace_back("sqlite");
  // Behind its indentation, a key; the lines of the introduction have none.
  static const std::regex comment(R"((\n *)# ([a-z_]+: ))");
  std::string all = std::regex_replace(make_new(words).out, comment, "$1$2");
  // It cannot be used with a batch, nor with branches that join again.
  const std::size_t order = all.find("order_by:");
  all.erase(order, all.find('\n', order) - order);
  EXPECT_NE(all.find("\n    max_line: 1MiB"), std::string::npos) << all;
  EXPECT_NO_THROW(static_cast<void>(read(all))) << all;
}

TEST(component_verbs, new_wants_the_source_first_and_the_sink_last) {
  EXPECT_EQ(make_new({"stdout", "jq"}).exit_code, 2);
  EXPECT_EQ(make_new({"stdout", "jq"}).err,
            "brigade: 'stdout' is a sink: a source comes first, then stages, and a sink last\n");
  EXPECT_EQ(make_new({"jq", "file", "jq"}).err,
            "brigade: 'file' is a source and a sink: a source comes first, then stages, and a sink "
            "last\n");
  EXPECT_EQ(make_new({"file", "jqq"}).err,
            "brigade: there is no component 'jqq'; did you mean 'jq'?\n");
}

}  // namespace
}  // namespace brigade::cli
