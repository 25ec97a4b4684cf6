/// For descriptions of the program's connectors: components as the program makes them, and items of
/// the suite as records, `{"text": "item 1"}`.
#pragma once
#include "connect/components.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/payload.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brigade::test {

using fields = std::vector<std::pair<std::string, field_value>>;

inline fields joined(fields some, const fields& more) {
  some.insert(some.end(), more.begin(), more.end());
  return some;
}

/// The source `main` and the sink `out`, with these fields.
inline std::unique_ptr<source> source_of(void (*add)(registry&), std::string_view name,
                                         const fields& given, const component_context& in) {
  registry known;
  add(known);
  const component& entry = *known.find(component_kind::source, name);
  return entry.make_source(settings_for(entry, given), in);
}
inline std::unique_ptr<sink> sink_of(void (*add)(registry&), std::string_view name,
                                     const fields& given, const component_context& in) {
  registry known;
  add(known);
  const component& entry = *known.find(component_kind::sink, name);
  return entry.make_sink(settings_for(entry, given), in);
}

inline std::string text_object(const std::string& text) {
  return "{\"text\":" + json_quoted(text) + "}";
}
/// Of a record that is no JSON what it is.
inline std::string text_in(const payload& item) {
  const std::string_view raw = item.get<record>().raw();
  boost::system::error_code wrong;
  const boost::json::value value = boost::json::parse(raw, wrong);
  if (wrong || !value.is_object() || !value.as_object().contains("text")) return std::string(raw);
  return std::string(value.at("text").as_string());
}

}  // namespace brigade::test
