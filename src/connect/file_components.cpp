#include "connect/file_sink.hpp"
#include "connect/file_source.hpp"
#include "connect/file_stdin.hpp"

#include <brigade/connect/file.hpp>
#include <brigade/pipeline/registry.hpp>

#include <unistd.h>

#include <algorithm>

namespace brigade {
namespace {

std::vector<std::string> columns_of(const settings& given) {
  std::vector<std::string> columns = given.list("columns");
  if (columns.empty()) throw config_error("columns", "the list has no column in it");
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto end = columns.begin() + static_cast<std::ptrdiff_t>(i);
    if (columns[i].empty()) throw config_error("columns", "a column has no name");
    if (std::find(columns.begin(), end, columns[i]) != end) {
      throw config_error("columns", "the column '" + columns[i] + "' is there twice");
    }
  }
  return columns;
}

text_format text_format_of(const settings& given) {
  text_format format;
  const std::string& what = given.text("format");
  if (what == "ndjson") format.what = line_format::ndjson;
  if (what == "csv") format.what = line_format::csv;
  format.csv.header = given.flag("header");
  if (given.has("columns")) format.csv.columns = columns_of(given);
  if (given.has("types")) format.csv.types = read_types(given.table("types"));
  if (what != "csv") {
    if (!format.csv.header) throw config_error("header", "only format: csv has a header");
    if (given.has("columns")) throw config_error("columns", "only format: csv has columns");
    if (given.has("types")) throw config_error("types", "only format: csv has columns with types");
  } else if (!format.csv.header) {
    static_cast<void>(csv_columns(format.csv.columns, format.csv.types));
  } else if (given.has("columns")) {
    throw config_error("columns",
                       "the first row names the columns; with header: false they can be given");
  }
  return format;
}

row_format row_format_of(const settings& given) {
  const std::string& what = given.text("format");
  if (what == "csv") return row_format::csv;
  if (given.has("columns")) throw config_error("columns", "only format: csv has columns");
  return what == "lines" ? row_format::lines : row_format::ndjson;
}

std::vector<std::string> columns_to_write(const settings& given) {
  return given.has("columns") ? columns_of(given) : std::vector<std::string>{};
}

/// `format`, and what belongs to it.
void add_input_format(std::vector<field_spec>& fields) {
  fields.push_back(field_spec{.name = "format",
                              .type = field_type::choice,
                              .fallback = "lines",
                              .doc =
                                  "lines gives {\"line\": \"...\"}; ndjson one JSON value a line; "
                                  "csv an object a row.",
                              .choices = {"lines", "ndjson", "csv"}});
  fields.push_back(field_spec{.name = "header",
                              .type = field_type::boolean,
                              .fallback = "true",
                              .doc = "Of csv: the first row names the columns; without, a row is "
                                     "an array."});
  fields.push_back(field_spec{.name = "columns",
                              .type = field_type::text_list,
                              .fallback = {},
                              .doc = "Of csv with header: false: the names of the columns.",
                              .example = "[id, total]"});
  fields.push_back(field_spec{.name = "types",
                              .type = field_type::text_map,
                              .fallback = {},
                              .doc = "Of csv: what columns are: int, float, bool or text.",
                              .example = "{ total: float }"});
}
void add_output_format(std::vector<field_spec>& fields) {
  fields.push_back(field_spec{.name = "format",
                              .type = field_type::choice,
                              .fallback = "ndjson",
                              .doc = "ndjson writes the item as JSON; lines the text of its .line; "
                                     "csv its fields behind a header.",
                              .choices = {"ndjson", "lines", "csv"}});
  fields.push_back(field_spec{.name = "columns",
                              .type = field_type::text_list,
                              .fallback = {},
                              .doc = "Of csv: the fields to write; by default those of the file's "
                                     "header, or of the first item.",
                              .example = "[id, total]"});
}

std::unique_ptr<source> make_file_source(const settings& given, const component_context& context) {
  file_source_options options;
  options.name = context.name;
  options.folder = context.folder.string();
  options.paths = given.list("path");
  options.format = text_format_of(given);
  if (options.paths.empty()) throw config_error("path", "the list has no file in it");
  for (const std::string& path : options.paths) {
    if (path.empty()) throw config_error("path", "a path is empty");
  }
  const std::int64_t bytes = given.integer("max_line");
  if (bytes < 1) throw config_error("max_line", "a line must be allowed at least one byte");
  options.format.line_bytes_max = static_cast<std::uint64_t>(bytes);
  return std::make_unique<file_source>(std::move(options));
}

std::unique_ptr<sink> make_file_sink(const settings& given, const component_context& context) {
  file_sink_options options;
  options.folder = context.folder.string();
  options.path = given.text("path");
  options.pipeline = context.pipeline;
  options.format = row_format_of(given);
  options.columns = columns_to_write(given);
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
  file.doc = "Reads files to their ends; resumes where it stopped, in the files it knows.";
  file.fields = {field_spec{.name = "path",
                            .type = field_type::text_or_list,
                            .fallback = {},
                            .doc = "A path or a glob, or a list of them.",
                            .required = true,
                            .example = "input.txt"}};
  add_input_format(file.fields);
  file.fields.push_back(
      field_spec{.name = "mode",
                 .type = field_type::choice,
                 .fallback = "once",
                 .doc = "once reads to the end; a last line without newline is an item.",
                 .choices = {"once"}});
  file.fields.push_back(field_spec{.name = "max_line",
                                   .type = field_type::bytes,
                                   .fallback = "1MiB",
                                   .doc = "A longer line is dead-lettered with its first 64 KiB.",
                                   .example = "4MiB"});
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
                 .example = "output.ndjson"}};
  add_output_format(file.fields);
  file.fields.push_back(
      field_spec{.name = "fsync",
                 .type = field_type::boolean,
                 .fallback = "true",
                 .doc = "Whether a batch is on the disk before it is acknowledged."});
  file.fields.push_back(
      field_spec{.name = "rotate_size",
                 .type = field_type::bytes,
                 .fallback = {},
                 .doc = "A batch that would make the file larger goes to the next: out.1.ndjson.",
                 .example = "100MiB"});
  file.fields.push_back(field_spec{
      .name = "rotate_every",
      .type = field_type::duration,
      .fallback = {},
      .doc = "A new file this often, by the clock; without it, when %'s change its name.",
      .example = "1h"});
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
  add_input_format(standard_input.fields);
  standard_input.make_source = [](const settings& given, const component_context& context) {
    return std::make_unique<stdin_source>(context.name, text_format_of(given), STDIN_FILENO);
  };
  to.add(std::move(standard_input));

  to.add(file_sink_component());

  component standard_output;
  standard_output.kind = component_kind::sink;
  standard_output.name = "stdout";
  standard_output.doc = "Writes a line an item to standard output.";
  add_output_format(standard_output.fields);
  standard_output.make_sink = [](const settings& given, const component_context&) {
    return std::make_unique<stdout_sink>(row_format_of(given), STDOUT_FILENO,
                                         columns_to_write(given));
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
