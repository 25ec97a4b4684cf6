#include "connect/exec_command.hpp"

#include "connect/exec_protocol.hpp"
#include "connect/json_text.hpp"

#include <brigade/pipeline/config_spec.hpp>
#include <brigade/pipeline/stage.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace brigade::exec {

namespace {

bool is_name_character(char c, bool first) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  return letter || (!first && c >= '0' && c <= '9');
}

/// The name in the `{name}` at the front of `text`; empty when there is none.
std::string_view name_in_braces(std::string_view text) {
  std::size_t end = 1;
  while (end < text.size() && is_name_character(text[end], end == 1)) ++end;
  const bool closed = end > 1 && end < text.size() && text[end] == '}';
  return closed && text.front() == '{' ? text.substr(1, end - 1) : std::string_view{};
}

}  // namespace

command_template::command_template(const std::vector<std::string>& command) {
  for (const std::string& argument : command) {
    arguments_.push_back(split(argument));
    for (const piece& part : arguments_.back()) {
      if (!part.is_field) continue;
      if (arguments_.size() == 1) {
        throw config_error("command", "the program itself cannot come from an item: {" + part.text +
                                          "}; name the program, and put {" + part.text +
                                          "} into an argument");
      }
      if (std::ranges::find(fields_, part.text) == fields_.end()) fields_.push_back(part.text);
    }
  }
}

std::vector<command_template::piece> command_template::split(const std::string& argument) {
  std::vector<piece> result;
  std::string literal;
  std::string_view rest = argument;
  while (!rest.empty()) {
    const std::string_view doubled =
        rest.front() == '{' ? name_in_braces(rest.substr(1)) : std::string_view{};
    if (!doubled.empty() && rest.substr(doubled.size() + 3).starts_with('}')) {
      literal += "{" + std::string(doubled) + "}";
      rest.remove_prefix(doubled.size() + 4);
    } else if (const std::string_view name = name_in_braces(rest); !name.empty()) {
      if (!literal.empty()) result.push_back({false, std::exchange(literal, {})});
      result.push_back({true, std::string(name)});
      rest.remove_prefix(name.size() + 2);
    } else {
      literal += rest.front();
      rest.remove_prefix(1);
    }
  }
  if (!literal.empty() || result.empty()) result.push_back({false, std::move(literal)});
  return result;
}

std::vector<std::string> command_template::fill(std::string_view item) const {
  std::map<std::string, std::string, std::less<>> values;
  std::string storage;
  const bool is_object = json_text::kind_of(item) == json_text::kind::object;
  json_text::object_reader reader(is_object ? item : std::string_view{});
  while (is_object && reader.next()) {
    const std::string_view name = json_text::unquoted(reader.key(), storage);
    if (std::ranges::find(fields_, name) == fields_.end()) continue;
    values.insert_or_assign(std::string(name), plain_text(reader.value()));
  }
  for (const std::string& field : fields_) {
    const auto found = values.find(field);
    if (found == values.end()) {
      throw permanent_error("the item has no field '" + field + "' to fill into the command");
    }
    if (found->second.find('\0') != std::string::npos) {
      throw permanent_error("field '" + field + "' holds a NUL, which no argument can");
    }
  }
  std::vector<std::string> result;
  for (const std::vector<piece>& argument : arguments_) {
    std::string& text = result.emplace_back();
    for (const piece& part : argument)
      text += part.is_field ? values.find(part.text)->second : part.text;
  }
  return result;
}

}  // namespace brigade::exec
