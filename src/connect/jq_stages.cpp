#include "connect/json_text.hpp"

#include <brigade/connect/jq.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/registry.hpp>

#include <stdexcept>

namespace brigade {
namespace {

class jq_stage final : public stage_body {
 public:
  explicit jq_stage(jq_program program) : program_(std::move(program)) {}

  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }

  attempt_result run_now(payload& item, const attempt_info&) override {
    const std::string json = item.get<record>().json_text();
    if (auto objection = changed_by_jq(json)) throw permanent_error(*objection);
    std::vector<std::string> outputs = program_.run(json);
    for (const std::string& output : outputs) refuse_unprintable(output);
    if (outputs.empty()) return attempt_result::filtered();
    if (outputs.size() == 1) {
      return attempt_result::passed(payload(record::json(std::move(outputs[0]))));
    }
    std::vector<payload> values;
    values.reserve(outputs.size());
    for (std::string& output : outputs) values.emplace_back(record::json(std::move(output)));
    return attempt_result::split(std::move(values));
  }

 private:
  // In the place of what is nested too deep libjq prints a remark, in the middle of the JSON.
  static void refuse_unprintable(const std::string& output) {
    if (json_text::check(output)) {
      throw permanent_error("the result of the jq program is nested too deep to be printed");
    }
  }

  jq_program program_;
};

class filter_stage final : public stage_body {
 public:
  explicit filter_stage(condition passes) : passes_(std::move(passes)) {}

  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }

  attempt_result run_now(payload& item, const attempt_info&) override {
    const record& value = item.get<record>();
    const bool is_json = value.what() == record::shape::json;
    const bool passes = is_json ? passes_.holds(value.raw()) : passes_.holds(value.json_text());
    return passes ? attempt_result::unchanged() : attempt_result::filtered();
  }

 private:
  condition passes_;
};

class split_stage final : public stage_body {
 public:
  /// Compiles the text by itself first: what is wrong with it is said of it.
  explicit split_stage(const std::string& text) : program_(text) {
    program_ =
        jq_program("(" + text + "\n) | if type == \"array\" then .[] else " +
                   "error(\"the expression of split gives no array, but \" + " +
                   "(if type == \"object\" then \"an object\" elif . == null then \"null\" " +
                   "else \"a \" + type end)) end");
  }

  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }

  attempt_result run_now(payload& item, const attempt_info&) override {
    const std::string json = item.get<record>().json_text();
    if (auto objection = changed_by_jq(json)) throw permanent_error(*objection);
    std::vector<payload> values;
    for (std::string& element : program_.run(json)) {
      if (json_text::check(element)) throw permanent_error("an element is nested too deep");
      values.emplace_back(record::json(std::move(element)));
    }
    if (values.empty()) return attempt_result::filtered();
    return attempt_result::split(std::move(values));
  }

 private:
  jq_program program_;
};

template <class Compiled>
Compiled compile(const settings& given, const char* field) {
  try {
    return Compiled(given.text(field));
  } catch (const std::invalid_argument& error) {
    throw config_error(field, error.what());
  }
}

component split_component() {
  component split;
  split.name = "split";
  split.doc = "Makes an item of each element of an array; none at all filters the item.";
  split.fields = {field_spec{.name = "expression",
                             .type = field_type::text,
                             .fallback = {},
                             .doc = "A jq expression that gives an array; another value fails.",
                             .required = true,
                             .example = "'.lines'"}};
  split.refuses = {"timeout"};
  split.make_stage = [](const settings& given, const component_context&) {
    try {
      return std::make_unique<split_stage>(given.text("expression"));
    } catch (const std::invalid_argument& error) {
      throw config_error("expression", error.what());
    }
  };
  return split;
}

}  // namespace

void register_jq(registry& to) {
  component jq;
  jq.name = "jq";
  jq.doc = "Changes items by a jq program: one output passes on, none is filtered, several split.";
  jq.fields = {field_spec{.name = "program",
                          .type = field_type::text,
                          .fallback = {},
                          .doc = "The program, as jq 1.6 understands it.",
                          .required = true,
                          .example = "'.total *= 1.2'"}};
  jq.refuses = {"timeout"};
  jq.make_stage = [](const settings& given, const component_context&) {
    return std::make_unique<jq_stage>(compile<jq_program>(given, "program"));
  };
  to.add(std::move(jq));

  component filter;
  filter.name = "filter";
  filter.doc = "Lets items pass, unchanged, for which an expression is neither false nor null.";
  filter.fields = {field_spec{.name = "expression",
                              .type = field_type::text,
                              .fallback = {},
                              .doc = "A jq expression; false and null filter the item.",
                              .required = true,
                              .example = "'.status >= 500'"}};
  filter.make_stage = [](const settings& given, const component_context& context) {
    auto passes = compile<condition>(given, "expression");
    if (!passes.is_native() && context.attempt_timeout.count() > 0) {
      throw config_error("expression",
                         "libjq evaluates this expression and has no time limit: leave out the "
                         "stage's timeout");
    }
    return std::make_unique<filter_stage>(std::move(passes));
  };
  to.add(std::move(filter));
  to.add(split_component());
}

}  // namespace brigade
