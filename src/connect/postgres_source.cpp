#include "connect/postgres_source.hpp"

#include "connect/postgres_source_claims.hpp"
#include "connect/postgres_source_cursor.hpp"
#include "connect/rows_source.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace brigade::postgres {
namespace {

// When it is told of news, it looks all the same, seldom.
constexpr std::chrono::seconds poll_with_notify{30};

std::unique_ptr<source> make_source(const settings& given, const component_context& context) {
  source_place place;
  place.conninfo = given.text("connection");
  if (const auto problem = conninfo_problem(place.conninfo)) {
    throw config_error("connection", *problem);
  }
  place.options = rows::table_options_of(given, context);
  if (given.has("notify")) {
    place.notify = given.text("notify");
    if (place.notify.empty()) throw config_error("notify", "the name is empty");
    if (!place.options.tail) {
      throw config_error("notify", "'notify' is for 'mode: tail', which waits for more");
    }
    if (!given.has("poll")) place.options.poll = poll_with_notify;
  }
  place.options.poll = std::min(place.options.poll, place.options.lease);
  rows::desk_makers makers;
  makers.cursor = [place] { return std::make_unique<cursor_desk>(place); };
  makers.claim = [place] { return std::make_unique<claim_desk>(place); };
  return std::make_unique<rows::rows_source>(place.options, place.options.fingerprint("postgres"),
                                             std::move(makers));
}

}  // namespace

component source_component() {
  component postgres;
  postgres.kind = component_kind::source;
  postgres.name = "postgres";
  postgres.doc = "Reads rows of a table: each once, also when several claim them, or behind an id.";
  postgres.fields = {
      field_spec{.name = "connection",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "As for psql; what it lacks comes from PGHOST, PGPASSFILE and the like.",
                 .required = true,
                 .example = "host=127.0.0.1 dbname=shop user=brigade",
                 .secret = true}};  // it may hold a password
  for (field_spec& field :
       rows::table_fields("With mode: tail, how often to look for more; 1s, with notify 30s.")) {
    postgres.fields.push_back(std::move(field));
  }
  postgres.fields.push_back(
      field_spec{.name = "notify",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "With mode: tail, a channel (LISTEN) on which a trigger tells of new rows.",
                 .example = "orders"});
  postgres.make_source = make_source;
  return postgres;
}

}  // namespace brigade::postgres
