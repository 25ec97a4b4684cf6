#include "cli/component_reader.hpp"

#include "cli/component_text.hpp"

#include <brigade/async/assert.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace brigade::cli {
namespace {

using std::chrono::milliseconds;

template <class T>
std::optional<field_value> as_field(std::optional<T> value) {
  if (!value) return std::nullopt;
  return field_value(std::move(*value));
}

std::optional<field_value> read_bytes(value_reader& reader, const std::string& key,
                                      const yaml_node& node) {
  const auto bytes = reader.size(key, node);
  if (!bytes) return std::nullopt;
  return field_value(static_cast<std::int64_t>(*bytes));
}

std::optional<field_value> read_choice(value_reader& reader, const field_spec& field,
                                       const yaml_node& node) {
  const std::vector<std::string_view> choices(field.choices.begin(), field.choices.end());
  return as_field(reader.choice(field.name, node, choices));
}

std::optional<field_value> read_text_or_list(value_reader& reader, const std::string& key,
                                             const yaml_node& node) {
  if (node.what != yaml_node::kind::scalar) return as_field(reader.text_list(key, node));
  return field_value(std::vector<std::string>{node.text});
}

std::optional<field_value> read_field(value_reader& reader, const field_spec& field,
                                      const yaml_node& node) {
  switch (field.type) {
    case field_type::text:
      return as_field(reader.text(field.name, node));
    case field_type::integer:
      return as_field(reader.integer(field.name, node));
    case field_type::boolean:
      return as_field(reader.boolean(field.name, node));
    case field_type::duration:
      return as_field(reader.duration(field.name, node));
    case field_type::bytes:
      return read_bytes(reader, field.name, node);
    case field_type::text_list:
      return as_field(reader.text_list(field.name, node));
    case field_type::text_or_list:
      return read_text_or_list(reader, field.name, node);
    case field_type::text_map:
      return as_field(reader.text_map(field.name, node));
    case field_type::branches:
      return std::nullopt;  // read where the file's flow is
    case field_type::choice:
      return read_choice(reader, field, node);
  }
  return std::nullopt;
}

/// A default, which its component wrote as a user would.
field_value read_fallback(const field_spec& field) {
  if (field.type == field_type::text || field.type == field_type::choice) return field.fallback;
  problem_list problems;
  value_reader reader(problems);
  const auto node = parse_yaml(field.fallback, problems);
  const auto value = node ? read_field(reader, field, *node) : std::nullopt;
  BRIGADE_ASSERT(value.has_value(), "a component's default is not of its field's type");
  return *value;
}

class settings_reader {
 public:
  settings_reader(value_reader& reader, const std::string& owner, component_use& use)
      : reader_(reader), owner_(owner), use_(use) {}

  void read(const yaml_entry& entry) {
    const yaml_node& value = entry.value;
    if (value.what == yaml_node::kind::map) {
      read_fields(value);
    } else if (value.what != yaml_node::kind::null) {
      read_shorthand(value);
    }
    for (const field_spec& field : use_.what->fields) fill_in(field);
  }

 private:
  void read_fields(const yaml_node& map) {
    std::vector<std::string_view> known;
    for (const field_spec& field : use_.what->fields) known.push_back(field.name);
    for (const yaml_entry& entry : map.entries) {
      const auto field = std::find_if(use_.what->fields.begin(), use_.what->fields.end(),
                                      [&](const field_spec& one) { return one.name == entry.key; });
      if (field != use_.what->fields.end()) read_one(*field, entry.value);
    }
    reader_.keys_are_known(map, known, fmt::format("'{}' of {}", use_.what->name, owner_));
  }

  void read_shorthand(const yaml_node& value) {
    if (const field_spec* const field = shorthand_field(*use_.what)) {
      read_one(*field, value);
      return;
    }
    std::vector<std::string_view> names;
    for (const field_spec& field : use_.what->fields) names.push_back(field.name);
    failed_ = true;
    reader_.problem(value.at,
                    names.empty()
                        ? fmt::format("'{}' takes no value: write {{}}", use_.what->name)
                        : fmt::format("'{}' must be a mapping with its fields ({}), not {}",
                                      use_.what->name, fmt::join(names, ", "), describe(value)));
  }

  void read_one(const field_spec& field, const yaml_node& value) {
    use_.places.emplace(field.name, value.at);
    use_.spelled.emplace(field.name, as_spelled(value));
    if (auto read = read_field(reader_, field, value)) {
      use_.values.set(field.name, std::move(*read));
    }
  }

  void fill_in(const field_spec& field) {
    if (use_.places.count(field.name) > 0) return;
    if (field.required) {
      if (failed_) return;
      reader_.problem(use_.at,
                      fmt::format("{}: '{}' needs '{}'", owner_, use_.what->name, field.name));
    } else if (!field.fallback.empty()) {
      use_.values.set(field.name, read_fallback(field));
    }
  }

  value_reader& reader_;
  const std::string& owner_;
  component_use& use_;
  bool failed_ = false;  // what is missing was meant by a value that could not be understood
};

}  // namespace

void read_settings(value_reader& reader, const yaml_entry& entry, const std::string& owner,
                   component_use& use) {
  const std::size_t problems_before = reader.problem_count();
  settings_reader(reader, owner, use).read(entry);
  use.complete = reader.problem_count() == problems_before;
}

}  // namespace brigade::cli
