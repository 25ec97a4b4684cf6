/// Components with the fields of the real ones and no work behind them.
#pragma once
#include <brigade/pipeline/registry.hpp>

#include <memory>
#include <string>
#include <vector>

namespace brigade::cli {

class fake_source : public source {
 public:
  explicit fake_source(bool is_finite) : finite_(is_finite) {}
  task<> open(std::vector<partition_mark>, std::string) override { co_return; }
  task<std::vector<source_item>> read(std::size_t) override {
    co_return std::vector<source_item>{};
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return finite_; }
  [[nodiscard]] bool replayable() const override { return finite_; }
  [[nodiscard]] std::string fingerprint() const override { return "fake"; }

 private:
  bool finite_;
  std::vector<std::string> partitions_;
};

class fake_stage : public stage_body {};

class fake_sink : public sink {
 public:
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    co_return std::vector<partition_mark>{};
  }
  task<write_result> write(std::span<const sink_item>, std::span<const partition_mark>) override {
    co_return write_result{};
  }
};

/// Refuses any text with `!!` in it, as a component would refuse a program it cannot compile.
inline void refuse_bangs(const settings& values, const std::string& field) {
  if (values.has(field) && values.text(field).find("!!") != std::string::npos) {
    throw config_error(field, "'!!' is no program");
  }
}

inline component fake(component_kind kind, std::string name, std::vector<field_spec> fields) {
  component entry;
  entry.kind = kind;
  entry.name = std::move(name);
  entry.fields = std::move(fields);
  if (kind == component_kind::source) {
    const bool finite = entry.name != "stdin";
    entry.make_source = [finite](const settings&, const component_context&) {
      return std::make_unique<fake_source>(finite);
    };
  } else if (kind == component_kind::stage) {
    entry.make_stage = [](const settings& values, const component_context&) {
      refuse_bangs(values, "program");
      refuse_bangs(values, "expression");
      return std::make_unique<fake_stage>();
    };
  } else {
    entry.make_sink = [](const settings&, const component_context&) {
      return std::make_unique<fake_sink>();
    };
  }
  return entry;
}

inline registry fake_registry() {
  using enum component_kind;
  const std::vector<std::string> line_formats = {"lines", "ndjson", "csv"};
  registry known;
  known.add(fake(source, "file",
                 {{"path", field_type::text_or_list, "", "", true},
                  {"format", field_type::choice, "lines", "", false, line_formats},
                  {"max_line", field_type::bytes, "1MiB", ""}}));
  known.add(
      fake(source, "stdin", {{"format", field_type::choice, "lines", "", false, line_formats}}));
  known.add(fake(stage, "filter", {{"expression", field_type::text, "", "", true}}));
  component jq = fake(stage, "jq", {{"program", field_type::text, "", "", true}});
  jq.refuses = {"timeout"};
  known.add(jq);
  component parse = fake(stage, "parse",
                         {{"format", field_type::choice, "", "", false, {"json", "combined"}},
                          {"keep_rest", field_type::boolean, "false", ""}});
  parse.shorthand = "format";
  known.add(parse);
  component exec = fake(stage, "exec",
                        {{"command", field_type::text_list, "", "", true},
                         {"in_flight", field_type::integer, "1", ""},
                         {"env", field_type::text_map, "", ""},
                         {"cwd", field_type::text, ".", ""}});
  exec.timeout_default = std::chrono::seconds(60);
  known.add(exec);
  known.add(fake(sink, "sqlite",
                 {{"file", field_type::text, "", "", true},
                  {"table", field_type::text, "", "", true},
                  {"key", field_type::text_or_list, "", ""}}));
  known.add(fake(sink, "stdout", {}));
  known.add(fake(sink, "null", {}));
  return known;
}

}  // namespace brigade::cli
