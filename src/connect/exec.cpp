#include "connect/exec_stage.hpp"

#include <brigade/connect/exec.hpp>

#include <chrono>
#include <limits>
#include <memory>
#include <string>
#include <utility>

namespace brigade {

namespace {

constexpr std::int64_t in_flight_max = 10'000;

std::vector<field_spec> fields() {
  std::vector<field_spec> result(5);
  result[0].name = "command";
  result[0].type = field_type::text_list;
  result[0].required = true;
  result[0].doc =
      "The program and its arguments, never given to a shell; with protocol once, {field} "
      "in an argument is filled in from the item.";
  result[0].example = "[python3, handler.py]";
  result[1].name = "protocol";
  result[1].type = field_type::choice;
  result[1].fallback = "ndjson";
  result[1].choices = {"ndjson", "once"};
  result[1].doc =
      "ndjson: a program that lives on and answers one request a line; once: one process "
      "an item, the item on its stdin, one JSON value or line of text on its stdout.";
  result[2].name = "in_flight";
  result[2].type = field_type::integer;
  result[2].fallback = "1";
  result[2].doc = "How many items one worker's program may have in work at once.";
  result[2].example = "8";
  result[3].name = "env";
  result[3].type = field_type::text_map;
  result[3].doc = "Environment variables, added to brigade's own.";
  result[3].example = "{ LANG: C.UTF-8 }";
  result[4].name = "cwd";
  result[4].type = field_type::text;
  result[4].doc = "Where the program runs, relative to the pipeline file's folder (the default).";
  result[4].example = "handlers";
  return result;
}

process_options program_of(const settings& values, const component_context& context) {
  process_options program(values.list("command"));
  if (program.command.empty() || program.command.front().empty()) {
    throw config_error("command", "the command is empty; write it as [program, argument, ...]");
  }
  std::string& name = program.command.front();
  const std::filesystem::path folder = std::filesystem::absolute(context.folder);
  // With a slash in it, it is a path, and paths are relative to the pipeline file.
  if (name.find('/') != std::string::npos) name = (folder / name).lexically_normal().string();
  program.cwd = values.has("cwd") ? folder / values.text("cwd") : folder;
  if (values.has("env")) program.env = values.table("env");
  program.env.emplace("PYTHONUNBUFFERED", "1");
  return program;
}

std::unique_ptr<stage_body> make(const settings& values, const component_context& context) {
  const std::int64_t in_flight = values.integer("in_flight");
  if (in_flight < 1 || in_flight > in_flight_max) {
    throw config_error("in_flight", "in_flight is " + std::to_string(in_flight) +
                                        "; it must be from 1 to " + std::to_string(in_flight_max));
  }
  exec::exec_options options(program_of(values, context));
  options.stage = context.name;
  options.in_flight = static_cast<int>(in_flight);
  options.timeout = context.attempt_timeout;
  options.line_bytes_max = context.line_bytes_max;
  if (values.text("protocol") == "once") return exec::make_once_stage(std::move(options));
  return exec::make_ndjson_stage(std::move(options));
}

}  // namespace

void register_exec(registry& to) {
  component entry;
  entry.kind = component_kind::stage;
  entry.name = "exec";
  entry.doc =
      "Has a program of your own work on each item, in any language; brigade_handler, in "
      "share/brigade or sdk, makes one of a function in Python or Node.";
  entry.fields = fields();
  entry.timeout_default = std::chrono::seconds(60);
  entry.make_stage = make;
  to.add(std::move(entry));
}

}  // namespace brigade
