#include "cli/one_liner.hpp"

#include "cli/component_text.hpp"
#include "cli/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace brigade::cli {
namespace {

/// FNV-1a: the same on every machine and in every version.
std::uint32_t fingerprint_of(const one_liner& line) {
  std::uint32_t hash = 2166136261U;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    hash = (hash ^ 0xFFU) * 16777619U;
  };
  add(line.from);
  for (const std::string& stage : line.stages) add(stage);
  add(line.to);
  return hash;
}

yaml_node text_node(position at, std::string text) {
  yaml_node node;
  node.what = yaml_node::kind::scalar;
  node.at = at;
  node.text = std::move(text);
  return node;
}

yaml_node list_node(position at, const std::vector<std::string>& texts) {
  yaml_node node;
  node.what = yaml_node::kind::list;
  node.at = at;
  for (const std::string& text : texts) node.items.push_back(text_node(at, text));
  return node;
}

yaml_node map_node(position at) {
  yaml_node node;
  node.what = yaml_node::kind::map;
  node.at = at;
  return node;
}

void add(yaml_node& map, std::string key, yaml_node value) {
  const position at = value.at;
  map.entries.push_back(yaml_entry{std::move(key), at, std::move(value)});
}

/// `file` of `file:in.txt`, and what is behind the colon.
struct word_and_rest {
  std::string word;
  std::string rest;
};

word_and_rest split_at_colon(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

class line_reader {
 public:
  line_reader(const one_liner& line, const registry& known, problem_list& problems)
      : line_(line), known_(known), problems_(problems) {}

  /// Everything the line says, as a file would.
  yaml_node root() {
    const position state = place("--state " + line_.state);
    const position workers = place("-j " + line_.workers);
    yaml_node root = map_node(state);
    add(root, "name", text_node(state, fmt::format("run-{:08x}", fingerprint_of(line_))));
    add(root, "state", text_node(state, line_.state));
    add(root, "source", end_of("--from", line_.from, component_kind::source));
    yaml_node stages = map_node(workers);
    stages.what = yaml_node::kind::list;
    for (const std::string& text : line_.stages) {
      yaml_node stage = part(place("--do " + text), component_kind::stage, text);
      add(stage, "workers", text_node(workers, line_.workers));
      stages.items.push_back(std::move(stage));
    }
    add(root, "stages", std::move(stages));
    add(root, "sink", end_of("--to", line_.to, component_kind::sink));
    return root;
  }

  /// As written; positions are numbers of these.
  std::vector<std::string> arguments;

 private:
  position place(std::string argument) {
    arguments.push_back(std::move(argument));
    return position{0, static_cast<int>(arguments.size())};
  }

  /// A source or a sink, which have the formats as short words.
  yaml_node end_of(std::string_view option, const std::string& text, component_kind kind) {
    const position at = place(fmt::format("{} {}", option, text));
    const auto [word, rest] = split_at_colon(text == "-" ? "lines:-" : text);
    const bool is_format = word == "lines" || word == "ndjson" || word == "csv";
    if (!is_format) return part(at, kind, text);
    const bool is_source = kind == component_kind::source;
    const bool is_stream = rest.empty() || rest == "-";
    yaml_node fields = map_node(at);
    const std::string format = text == "-" && !is_source ? "ndjson" : word;
    add(fields, "format", text_node(at, format));
    if (!is_stream) add(fields, "path", text_node(at, rest));
    yaml_node node = map_node(at);
    add(node, !is_stream ? "file" : is_source ? "stdin" : "stdout", std::move(fields));
    return node;
  }

  yaml_node part(position at, component_kind kind, const std::string& text) {
    const auto [word, rest] = split_at_colon(text);
    yaml_node node = map_node(at);
    const component* const what = known_.find(kind, word);
    yaml_node value;
    value.at = at;
    if (what == nullptr) {
      refuse(at, kind, word);
    } else if (!rest.empty()) {
      value = value_of(at, *what, rest);
    }
    add(node, word, std::move(value));
    return node;
  }

  void refuse(position at, component_kind kind, const std::string& word) {
    const auto others = components_called(known_, word);
    if (!others.empty()) {
      problems_.add(at, fmt::format("'{}' is a {}, not a {}", word, to_string(others.front()->kind),
                                    to_string(kind)));
      return;
    }
    std::vector<std::string_view> names;
    if (kind != component_kind::stage) names = {"lines", "ndjson", "csv"};
    for (const component* const one : components_of(known_, kind)) names.emplace_back(one->name);
    problems_.add(
        at, fmt::format("there is no {} '{}'{}", to_string(kind), word, did_you_mean(word, names)));
  }

  yaml_node value_of(position at, const component& what, const std::string& rest) {
    if (auto fields = fields_of(at, what, rest)) return *std::move(fields);
    const field_spec* const alone = shorthand_field(what);
    if (alone == nullptr || alone->type != field_type::text_list) return text_node(at, rest);
    try {
      return list_node(at, split_words(rest));
    } catch (const std::invalid_argument& error) {
      problems_.add(at, error.what());
      return list_node(at, {rest});
    }
  }

  /// `{file: out.db, table: t}`; a jq program may look like that too, but names no field.
  static std::optional<yaml_node> fields_of(position at, const component& what,
                                            const std::string& rest) {
    if (rest.front() != '{' || what.fields.size() < 2) return std::nullopt;
    problem_list ignored;
    std::optional<yaml_node> fields = parse_yaml(rest, ignored);
    if (!fields || !ignored.empty() || fields->what != yaml_node::kind::map) return std::nullopt;
    const bool has_field = std::ranges::any_of(fields->entries, [&](const yaml_entry& entry) {
      return std::ranges::find(what.fields, entry.key, &field_spec::name) != what.fields.end();
    });
    if (!has_field) return std::nullopt;
    place_at(*fields, at);
    return fields;
  }

  const one_liner& line_;
  const registry& known_;
  problem_list& problems_;
};

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool escapes = c == '\\' && quote != '\'' && i + 1 < text.size();
    if (escapes) {
      word += text[++i];
      in_word = true;
    } else if (quote != '\0' && c == quote) {
      quote = '\0';
    } else if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
      in_word = true;
    } else if (quote == '\0' && (c == ' ' || c == '\t' || c == '\n')) {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != '\0') throw std::invalid_argument(fmt::format("a {} is not closed", quote));
  if (in_word) words.push_back(std::move(word));
  return words;
}

pipeline_config read_one_liner(const one_liner& line, const std::vector<std::string>& sets,
                               const registry& known) {
  problem_list problems;
  line_reader reader(line, known, problems);
  yaml_node root = reader.root();
  std::vector<std::string> arguments = reader.arguments;
  problems.raise(place_names("--from", arguments));
  for (const std::string& set : sets) {
    arguments.push_back("--set " + set);
    apply_override(root, set, static_cast<int>(arguments.size()), problems);
  }
  return read_tree(pipeline_tree{std::move(root),
                                 place_names("--from", std::move(arguments)),
                                 {},
                                 std::filesystem::current_path()},
                   problems, known);
}

}  // namespace brigade::cli
