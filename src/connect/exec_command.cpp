#include "connect/exec_command.hpp"

#include <brigade/pipeline/config_spec.hpp>
#include <brigade/pipeline/stage.hpp>

#include <algorithm>

namespace brigade::exec {

command_template::command_template(const std::vector<std::string>& command) {
  for (const std::string& argument : command) {
    arguments_.push_back(split_template(argument));
    for (const template_piece& part : arguments_.back()) {
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

std::vector<std::string> command_template::fill(std::string_view item) const {
  const auto values = fields_of(item, fields_);
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
  for (const std::vector<template_piece>& argument : arguments_) {
    std::string& text = result.emplace_back();
    for (const template_piece& part : argument)
      text += part.is_field ? values.find(part.text)->second : part.text;
  }
  return result;
}

}  // namespace brigade::exec
