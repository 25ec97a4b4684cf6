#include "connect/file_rows.hpp"

#include "connect/json_text.hpp"

#include <brigade/connect/record.hpp>

namespace brigade {
namespace {

void append_line(std::string& to, const record& value) {
  if (value.what() == record::shape::line) {
    to += value.raw();
    return;
  }
  const std::string json = value.json_text();
  const std::string_view text = json_text::trimmed(json);
  const bool is_object = json_text::kind_of(text) == json_text::kind::object;
  const auto line = is_object ? json_text::member(text, "line") : std::nullopt;
  if (!line || json_text::kind_of(*line) != json_text::kind::string) {
    throw permanent_error("it has no text in .line to write as a line; use format: ndjson");
  }
  std::string storage;
  const std::string_view unquoted = json_text::unquoted(*line, storage);
  if (unquoted.find('\n') != std::string_view::npos) {
    throw permanent_error("its .line holds a newline, so it is no line; use format: ndjson");
  }
  to += unquoted;
}

}  // namespace

rows make_rows(row_format format, std::span<const sink_item> batch) {
  rows result;
  result.failures.resize(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const record& value = batch[i].value->get<record>();
    try {
      if (format == row_format::lines) {
        append_line(result.text, value);
      } else {
        value.append_json_text(result.text);
      }
      result.text.push_back('\n');
    } catch (const permanent_error& error) {
      result.failures[i].emplace(verdict::permanent, error.what());
    }
  }
  return result;
}

}  // namespace brigade
