#include "connect/sqlite_source.hpp"

#include "connect/rows_source.hpp"
#include "connect/sqlite_claims.hpp"
#include "connect/sqlite_cursor.hpp"

#include <brigade/pipeline/registry.hpp>

#include <memory>
#include <utility>

namespace brigade {
namespace {

std::unique_ptr<source> make_source(const settings& given, const component_context& context) {
  sqlite::table_place place;
  const std::string& file = given.text("file");
  if (file.empty()) throw config_error("file", "the path is empty");
  place.path = (context.folder / file).lexically_normal().string();
  place.options = rows::table_options_of(given, context);
  rows::desk_makers makers;
  makers.cursor = [place] { return std::make_unique<sqlite::cursor_desk>(place); };
  makers.claim = [place] { return std::make_unique<sqlite::claim_desk>(place); };
  return std::make_unique<rows::rows_source>(
      place.options, place.options.fingerprint("sqlite " + file), std::move(makers));
}

}  // namespace

void register_sqlite_source(registry& to) {
  component sqlite;
  sqlite.kind = component_kind::source;
  sqlite.name = "sqlite";
  sqlite.doc = "Reads rows of a table: each once, also when several claim them, or behind an id.";
  sqlite.fields = {field_spec{.name = "file",
                              .type = field_type::text,
                              .fallback = {},
                              .doc = "The database; it must be there.",
                              .required = true,
                              .example = "orders.db"}};
  for (field_spec& field : rows::table_fields("With mode: tail, how often to look for more; 1s.")) {
    sqlite.fields.push_back(std::move(field));
  }
  sqlite.make_source = make_source;
  to.add(std::move(sqlite));
}

}  // namespace brigade
