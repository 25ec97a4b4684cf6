#include "connect/file_sink.hpp"
#include "connect/file_source.hpp"
#include "connect/file_stdin.hpp"
#include "connect/file_tail.hpp"

#include <brigade/connect/file.hpp>
#include <brigade/pipeline/registry.hpp>

#include <unistd.h>

namespace brigade {
namespace {

line_format line_format_of(const settings& given) {
  return given.text("format") == "ndjson" ? line_format::ndjson : line_format::lines;
}
row_format row_format_of(const settings& given) {
  return given.text("format") == "lines" ? row_format::lines : row_format::ndjson;
}

field_spec input_format() {
  return field_spec{.name = "format",
                    .type = field_type::choice,
                    .fallback = "lines",
                    .doc = "lines gives {\"line\": \"...\"}; ndjson one JSON value a line.",
                    .choices = {"lines", "ndjson"}};
}
field_spec output_format() {
  return field_spec{.name = "format",
                    .type = field_type::choice,
                    .fallback = "ndjson",
                    .doc = "ndjson writes the item as JSON; lines writes the text of its .line.",
                    .choices = {"ndjson", "lines"}};
}

std::vector<std::string> paths_of(const settings& given) {
  std::vector<std::string> paths = given.list("path");
  if (paths.empty()) throw config_error("path", "the list has no file in it");
  for (const std::string& path : paths) {
    if (path.empty()) throw config_error("path", "a path is empty");
  }
  return paths;
}

std::uint64_t line_bytes_max_of(const settings& given) {
  const std::int64_t bytes = given.integer("max_line");
  if (bytes < 1) throw config_error("max_line", "a line must be allowed at least one byte");
  return static_cast<std::uint64_t>(bytes);
}

std::unique_ptr<source> make_file_tail(const settings& given, const component_context& context) {
  file_tail_options options;
  options.follow.name = context.name;
  options.follow.folder = context.folder.string();
  options.follow.paths = paths_of(given);
  options.format = line_format_of(given);
  options.line_bytes_max = line_bytes_max_of(given);
  for (const std::string& path : options.follow.paths) {
    if (!is_compressed_name(path)) continue;
    throw config_error("path", "'" + path +
                                   "' is compressed, and cannot be followed; read it in "
                                   "mode: once");
  }
  return std::make_unique<file_tail>(std::move(options));
}

std::unique_ptr<source> make_file_source(const settings& given, const component_context& context) {
  if (given.text("mode") == "tail") return make_file_tail(given, context);
  file_source_options options;
  options.name = context.name;
  options.folder = context.folder.string();
  options.paths = paths_of(given);
  options.format = line_format_of(given);
  options.line_bytes_max = line_bytes_max_of(given);
  return std::make_unique<file_source>(std::move(options));
}

std::unique_ptr<sink> make_file_sink(const settings& given, const component_context& context) {
  file_sink_options options;
  options.folder = context.folder.string();
  options.path = given.text("path");
  options.pipeline = context.pipeline;
  options.format = row_format_of(given);
  options.fsync = given.flag("fsync");
  if (options.path.empty()) throw config_error("path", "the path is empty");
  static_cast<void>(fill_in_name(options.path, options.pipeline));
  if (given.has("rotate_size")) {
    const std::int64_t bytes = given.integer("rotate_size");
    if (bytes < 1) throw config_error("rotate_size", "a file must be allowed at least one byte");
    options.rotate_bytes = static_cast<std::uint64_t>(bytes);
  }
  if (given.has("rotate_every")) {
    options.rotate_every = std::chrono::floor<std::chrono::seconds>(given.duration("rotate_every"));
    if (options.rotate_every.count() < 1) {
      throw config_error("rotate_every", "a file must be allowed at least one second: 1h, 1d");
    }
  }
  return std::make_unique<file_sink>(std::move(options));
}

component file_source_component() {
  component file;
  file.kind = component_kind::source;
  file.name = "file";
  file.doc = "Reads files to their ends, or follows them; resumes where it stopped.";
  file.fields = {field_spec{.name = "path",
                            .type = field_type::text_or_list,
                            .fallback = {},
                            .doc = "A path or a glob, or a list of them.",
                            .required = true,
                            .example = "input.txt"},
                 input_format(),
                 field_spec{.name = "mode",
                            .type = field_type::choice,
                            .fallback = "once",
                            .doc = "once reads to the end; tail follows files, also rotated ones.",
                            .choices = {"once", "tail"}},
                 field_spec{.name = "max_line",
                            .type = field_type::bytes,
                            .fallback = "1MiB",
                            .doc = "A longer line is dead-lettered with its first 64 KiB.",
                            .example = "4MiB"}};
  file.make_source = make_file_source;
  return file;
}

component file_sink_component() {
  component file;
  file.kind = component_kind::sink;
  file.name = "file";
  file.doc = "Appends a line an item; a restart cuts the file to what was recorded.";
  file.fields = {
      field_spec{.name = "path",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "Where; {name} is the pipeline's, %Y-%m-%d and the like are strftime's.",
                 .required = true,
                 .example = "output.ndjson"},
      output_format(),
      field_spec{.name = "fsync",
                 .type = field_type::boolean,
                 .fallback = "true",
                 .doc = "Whether a batch is on the disk before it is acknowledged."},
      field_spec{.name = "rotate_size",
                 .type = field_type::bytes,
                 .fallback = {},
                 .doc = "A batch that would make the file larger goes to the next: out.1.ndjson.",
                 .example = "100MiB"},
      field_spec{
          .name = "rotate_every",
          .type = field_type::duration,
          .fallback = {},
          .doc = "A new file this often, by the clock; without it, when %'s change its name.",
          .example = "1h"}};
  file.make_sink = make_file_sink;
  return file;
}

}  // namespace

void register_file(registry& to) {
  to.add(file_source_component());

  component standard_input;
  standard_input.kind = component_kind::source;
  standard_input.name = "stdin";
  standard_input.doc = "Reads standard input to its end; what it gave cannot be asked for again.";
  standard_input.fields = {input_format()};
  standard_input.make_source = [](const settings& given, const component_context& context) {
    return std::make_unique<stdin_source>(context.name, line_format_of(given), STDIN_FILENO);
  };
  to.add(std::move(standard_input));

  to.add(file_sink_component());

  component standard_output;
  standard_output.kind = component_kind::sink;
  standard_output.name = "stdout";
  standard_output.doc = "Writes a line an item to standard output.";
  standard_output.fields = {output_format()};
  standard_output.make_sink = [](const settings& given, const component_context&) {
    return std::make_unique<stdout_sink>(row_format_of(given), STDOUT_FILENO);
  };
  to.add(std::move(standard_output));

  component nowhere;
  nowhere.kind = component_kind::sink;
  nowhere.name = "null";
  nowhere.doc = "Takes every item and keeps none; the report counts them.";
  nowhere.make_sink = [](const settings&, const component_context&) {
    return std::make_unique<null_sink>();
  };
  to.add(std::move(nowhere));
}

}  // namespace brigade
