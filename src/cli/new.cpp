// A pipeline file to start from: what it must say, with an example to be replaced, and all it may
// say as comments.
#include "cli/component_text.hpp"
#include "cli/exit_code.hpp"
#include "cli/verbs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <stdexcept>

namespace brigade::cli {
namespace {

/// The words, given their places in a pipeline.
struct cast {
  const component* source = nullptr;
  std::vector<const component*> stages;
  const component* sink = nullptr;
};

class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

std::string kinds_of(const std::vector<const component*>& found) {
  std::string text;
  for (const component* const one : found) {
    text += fmt::format("{}a {}", text.empty() ? "" : " and ", to_string(one->kind));
  }
  return text;
}

/// A source comes first and a sink last; a filter of standard input is what is not said.
cast cast_of(const std::vector<std::string>& words, const registry& known) {
  cast parts;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto found = components_called(known, words[i]);
    if (found.empty()) throw usage_error(no_such_component(known, words[i]));
    const bool is_last = i > 0 && i + 1 == words.size();
    const component* const source = known.find(component_kind::source, words[i]);
    const component* const stage = known.find(component_kind::stage, words[i]);
    const component* const sink = known.find(component_kind::sink, words[i]);
    if (i == 0 && source != nullptr) {
      parts.source = source;
    } else if (sink != nullptr && (is_last || words.size() == 1)) {
      parts.sink = sink;
    } else if (stage != nullptr) {
      parts.stages.push_back(stage);
    } else {
      throw usage_error(
          fmt::format("'{}' is {}: a source comes first, then stages, and a sink last", words[i],
                      kinds_of(found)));
    }
  }
  if (parts.source == nullptr) parts.source = known.find(component_kind::source, "stdin");
  if (parts.sink == nullptr) parts.sink = known.find(component_kind::sink, "stdout");
  return parts;
}

std::string comment_of(const field_spec& field) {
  return fmt::format("# {}: {}", type_text(field), field.doc);
}

void write_component(const component& what, std::string_view indent, std::ostream& out) {
  const auto needed = needed_fields(what);
  const bool is_needed = !needed.empty();
  out << fmt::format("{}:{}  # {}\n", what.name, is_needed || !what.fields.empty() ? "" : " {}",
                     what.doc);
  for (const field_spec* const field : needed) {
    out << fmt::format("{}  {}: {}  # FILL IN; {}\n", indent, field->name, example_value(*field),
                       comment_of(*field).substr(2));
  }
  for (const field_spec& field : what.fields) {
    if (std::ranges::find(needed, &field) != needed.end()) continue;
    out << fmt::format("{}  # {}: {}  {}\n", indent, field.name,
                       field.fallback.empty() ? example_value(field) : field.fallback,
                       comment_of(field));
  }
}

void write_policy(const component& what, std::ostream& out) {
  const auto key = [&](std::string_view name, std::string_view value, std::string_view comment) {
    if (std::ranges::find(what.refuses, name) != what.refuses.end()) return;
    out << fmt::format("    # {}: {}  # {}\n", name, value, comment);
  };
  key("workers", "4", "items in work at once; 2..16: as many as bring something [1]");
  key("timeout", "10s",
      what.timeout_default.count() == 0 ? "of an attempt [none]" : "of an attempt [60s]");
  key("hung_after", "10m", "then another worker takes over [named after 5m]");
  key("retry", "{ attempts: 5, backoff: 200ms..30s }", "then it is dead-lettered");
  key("on_error", "fail_fast", "the first dead letter ends the run [isolate]");
  key("queue", "{ size: 64, kind: fifo, when_full: wait }", "what waits for it");
  key("rate", "100/s", "attempts [no limit]");
}

void write_file(const cast& parts, std::ostream& out) {
  std::string flow = parts.source->name;
  for (const component* const stage : parts.stages) flow += " -> " + stage->name;
  out << fmt::format("# {} -> {}\n", flow, parts.sink->name);
  out << "# Save it as NAME.yaml, fill in what is marked, then:\n"
         "#   brigade check NAME.yaml && brigade run NAME.yaml\n"
         "# A line that begins with # says what is possible, with its default or an example.\n";
  out << "# name: orders  # names the ledger [the file's name]\n"
         "# state: ./state  # where the ledger is [the file's folder]\n"
         "# order_by: .customer  # items of one key in their order [none]\n";
  out << "source:\n  ";
  write_component(*parts.source, "  ", out);
  if (!parts.stages.empty()) out << "stages:\n";
  for (const component* const stage : parts.stages) {
    out << "  - ";
    write_component(*stage, "    ", out);
    write_policy(*stage, out);
  }
  out << "sink:\n  ";
  write_component(*parts.sink, "  ", out);
}

}  // namespace

int new_verb(const new_options& options, const registry& known, std::ostream& out,
             std::ostream& err) {
  try {
    write_file(cast_of(options.components, known), out);
  } catch (const usage_error& error) {
    err << "brigade: " << error.what() << '\n';
    return exit_usage;
  }
  return exit_ok;
}

}  // namespace brigade::cli
