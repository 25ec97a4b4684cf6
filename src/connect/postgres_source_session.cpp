#include "connect/postgres_source_session.hpp"

#include "connect/json_text.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/connect/record.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace brigade::postgres {
namespace {

constexpr int names_shown = 8;

constexpr std::array<unsigned, 6> number_types = {20, 21, 23, 700, 701, 1700};
constexpr unsigned boolean_type = 16;
constexpr unsigned jsonb_type = 3802;
// What row_to_json writes as a string with the very text.
constexpr std::array<unsigned, 12> text_types = {17,   18,   19,   25,   26,   1042,
                                                 1043, 1082, 1083, 1186, 1266, 2950};
// What it writes as a string, otherwise.
constexpr std::array<unsigned, 2> stamp_types = {1114, 1184};

template <std::size_t n>
bool is_in(const std::array<unsigned, n>& types, unsigned type) {
  return std::ranges::find(types, type) != types.end();
}

std::vector<parameter> texts(std::vector<std::string> values) {
  std::vector<parameter> made;
  for (std::string& each : values) made.emplace_back(std::move(each));
  return made;
}

std::string where_is(const source_place& place) {
  return "PostgreSQL at " + conninfo_label(place.conninfo);
}

// Values say the same whoever asks, and whatever is set for the user or the database.
constexpr const char* session_settings =
    "SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO', false), "
    "set_config('bytea_output', 'hex', false), set_config('extra_float_digits', '1', false)";

}  // namespace

void source_session::tell(const error& failed) const {
  const std::string text = where_is(place_) + ": " + failed.what();
  switch (failed.kind()) {
    case error_kind::lost:
    case error_kind::outage:
    case error_kind::conflict:
      throw rows::outage(text);
    default:
      throw std::runtime_error(text);
  }
}

// A transaction that is left open is one that was given up.
task<> source_session::connect() {
  if (base_ && base_->is_open() && !base_->in_transaction()) co_return;
  listening_ = false;
  base_.reset();
  connect_options where(place_.conninfo);
  where.application_name = "brigade " + place_.options.pipeline;
  auto opening = connection::open(std::move(where));
  base_.emplace(co_await std::move(opening));
  auto setting = base_->query(session_settings);
  co_await std::move(setting);
}

template <class Ask>
auto source_session::ask(Ask work) -> decltype(work(std::declval<connection&>())) {
  auto guard = co_await turn_.lock();
  std::optional<error> failed;
  try {
    co_await connect();
    auto answer = work(*base_);
    co_return co_await std::move(answer);
  } catch (const error& why) {
    failed.emplace(why);
  }
  if (failed->kind() == error_kind::lost && base_) base_->close();
  tell(*failed);
}

task<result> source_session::query(std::string sql, std::vector<parameter> parameters) {
  auto work = [&](connection& base) { return base.query(std::move(sql), std::move(parameters)); };
  co_return co_await ask(work);
}

task<bool> source_session::copy_out(locked_copy what) {
  auto work = [&](connection& base) { return copy_over(base, what); };
  co_return co_await ask(work);
}

// A COPY sees what there was before it had its locks. It may have waited for them while the table
// was written anew (ALTER COLUMN ... TYPE), and to who looks from before that, it is empty then. A
// SELECT looks once it has them, and its transaction keeps them.
task<bool> source_session::copy_over(connection& base, locked_copy& what) {
  auto looking = base.script("BEGIN ISOLATION LEVEL READ COMMITTED; " + what.look);
  const std::vector<result> looked = co_await std::move(looking);
  std::string sql = what.sql_behind(looked.back());
  const bool is_whole = co_await base.copy_out(std::move(sql), what.take);
  if (is_whole) co_await base.query("COMMIT");
  co_return is_whole;
}

task<std::vector<result>> source_session::together(std::vector<statement> statements) {
  auto work = [&](connection& base) { return base.pipeline(statements); };
  co_return co_await ask(work);
}

task<bool> source_session::listen_over(connection& base) {
  if (listening_) co_return true;
  co_await base.listen(place_.notify);
  listening_ = true;
  co_return false;
}

task<bool> source_session::listen() {
  auto work = [&](connection& base) { return listen_over(base); };
  co_return co_await ask(work);
}

task<notification> source_session::hear_over(connection& base) {
  notification last = co_await base.next_notification();
  while (auto more = base.take_notification()) last = *std::move(more);
  co_return last;
}

task<> source_session::heard() {
  auto work = [&](connection& base) { return hear_over(base); };
  co_await ask(work);
}

task<> source_session::heard_within(std::chrono::milliseconds most) {
  const bool was_listening = co_await listen();
  if (!was_listening) co_return;
  try {
    co_await timeout(most, heard());
  } catch (const timed_out&) {
  }
}

task<> source_table::learn(source_session& over, const source_place& place) {
  const rows::table_options& options = place.options;
  key = options.id;
  if (options.table.empty()) {
    source = "(" + options.query + ") AS o";
  } else {
    co_await find_table(over, place);
    if (key.empty()) key = co_await primary_key(over);
  }
  id = "o." + quoted_name(key);
  // With `.*` these are rows, also where a column has the name.
  std::string chosen;
  for (const std::string& name : options.columns) {
    chosen += (chosen.empty() ? "o." : ", o.") + quoted_name(name);
  }
  item = chosen.empty() ? "row_to_json(o.*)"
                        : "(SELECT row_to_json(x.*) FROM (SELECT " + chosen + ") AS x)";
  if (!options.where.empty()) condition = " AND (" + options.where + ")";
  co_await learn_columns(over, place);
}

task<> source_table::find_table(source_session& over, const source_place& place) {
  const std::string& written = place.options.table;
  const std::size_t dot = written.find('.');
  const bool has_schema = dot != std::string::npos;
  const std::string name = has_schema ? written.substr(dot + 1) : written;
  source = has_schema ? quoted_name(written.substr(0, dot)) + "." + quoted_name(name)
                      : quoted_name(name);
  auto asking = over.query(
      "SELECT c.oid, n.nspname, c.relkind IN ('r', 'p') FROM pg_class c JOIN pg_namespace n "
      "ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)",
      texts({source}));
  const result found = co_await std::move(asking);
  if (found.rows() == 1) {
    schema = found.text(0, 1);
    source = quoted_name(schema) + "." + quoted_name(name);
    if (found.text(0, 2) == "t") {
      oid = found.integer(0, 0);
      sql_name = source;
    }
    source += " AS o";
    co_return;
  }
  auto listing = over.query(
      "SELECT string_agg(name, ', ') FROM (SELECT CASE WHEN pg_table_is_visible(c.oid) THEN "
      "relname::text ELSE nspname || '.' || relname END AS name FROM pg_class c JOIN pg_namespace "
      "n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm') AND nspname NOT IN "
      "('pg_catalog', 'information_schema') AND relname NOT LIKE '\\_brigade\\_%' ORDER BY "
      "lower(relname) <> lower($1), 1 LIMIT " +
          std::to_string(names_shown) + ") AS a_few",
      texts({name}));
  const result others = co_await std::move(listing);
  throw std::runtime_error(where_is(place) + ": there is no table '" + written + "'; " +
                           (others.is_null(0, 0) ? "there is none at all"
                                                 : "there are: " + std::string(others.text(0, 0))));
}

task<std::string> source_table::primary_key(source_session& over) const {
  std::vector<parameter> which = texts({std::to_string(oid)});
  auto asking = over.query(
      "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY "
      "(indkey) WHERE indrelid = $1::oid AND indisprimary",
      std::move(which));
  const result found = co_await std::move(asking);
  if (found.rows() == 1) co_return std::string(found.text(0, 0));
  throw std::runtime_error(source.substr(0, source.size() - 5) +
                           " has no primary key of one column; say with 'id' which column tells "
                           "its rows apart");
}

// Also the first use of every name that the options have.
task<> source_table::learn_columns(source_session& over, const source_place& place) {
  for (const std::string& name : place.options.columns) chosen_ += ", o." + quoted_name(name);
  const std::string& order = place.options.order;
  auto asking = over.query(shape_sql() + (order.empty() ? "" : " ORDER BY " + order) + " LIMIT 0");
  const result found = co_await std::move(asking);
  learn_shape(found);
  // Without a length: `character` is one character, and `bpchar` any number of them.
  auto more = over.query(
      "SELECT format_type($1::oid, -1), current_setting('server_encoding') = 'SQL_ASCII'",
      texts({std::to_string(id_type_oid)}));
  const result named = co_await std::move(more);
  id_type = named.text(0, 0);
  must_check_ = must_check_ || named.text(0, 1) == "t";
}

std::string source_table::shape_sql() const {
  return "SELECT " + id + (chosen_.empty() ? ", o.*" : chosen_) + " FROM " + source +
         " WHERE true" + condition;
}

void source_table::learn_shape(const result& shape) {
  id_type_oid = shape.type(0);
  std::vector<std::pair<std::string, unsigned>> now;
  for (std::size_t at = 1; at < shape.columns(); ++at) {
    now.emplace_back(shape.name(at), shape.type(at));
  }
  if (now == shape_) return;
  columns.clear();
  columns_.clear();
  for (const auto& [name, type] : now) add_column(name, type);
  shape_ = std::move(now);
}

void source_table::add_column(std::string_view name, unsigned type) {
  column next{json_quoted(name) + ":", kind::json};
  std::string value = "o." + quoted_name(name);
  if (is_in(number_types, type)) {
    next.what = kind::number;
  } else if (type == boolean_type) {
    next.what = kind::boolean;
  } else if (is_in(text_types, type)) {
    next.what = kind::text;
  } else if (type != jsonb_type) {
    value = "to_json(" + value + ")";
    must_check_ = must_check_ || !is_in(stamp_types, type);
  }
  columns += (columns.empty() ? "" : ", ") + value;
  columns_.push_back(std::move(next));
}

void copied_row::read(std::string_view line) {
  fields_.clear();
  plain_.clear();
  const bool has_escapes = line.find('\\') != std::string_view::npos;
  if (has_escapes) plain_.reserve(line.size());
  for (;;) {
    const std::size_t end = line.find('\t');
    const std::string_view field = line.substr(0, end);
    if (has_escapes && field == "\\N") {
      fields_.emplace_back();
    } else {
      fields_.emplace_back(has_escapes ? unescaped(field) : field);
    }
    if (end == std::string_view::npos) return;
    line.remove_prefix(end + 1);
  }
}

std::string_view copied_row::unescaped(std::string_view field) {
  constexpr std::string_view letters = "bfnrtv";
  constexpr std::string_view meanings = "\b\f\n\r\t\v";
  const std::size_t from = plain_.size();
  for (std::size_t at = 0; at < field.size(); ++at) {
    char c = field[at];
    if (c == '\\' && at + 1 < field.size()) {
      c = field[++at];
      const std::size_t letter = letters.find(c);
      if (letter != std::string_view::npos) c = meanings[letter];
    }
    plain_.push_back(c);
  }
  return std::string_view(plain_).substr(from);
}

rows::row source_table::read_copied(std::string_view line) {
  fields_.read(line);
  std::uint64_t number = 0;
  const std::string_view digits = fields_.field(0).value_or("");
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  json_ = "{";
  for (std::size_t n = 0; n < columns_.size(); ++n) {
    if (n > 0) json_.push_back(',');
    json_ += columns_[n].key;
    const std::optional<std::string_view> text = fields_.field(n + 1);
    if (!text) {
      json_ += "null";
    } else if (columns_[n].what == kind::boolean) {
      json_ += *text == "t" ? "true" : "false";
    } else if (columns_[n].what == kind::text ||
               (columns_[n].what == kind::number && text->back() > '9')) {
      append_json_quoted(json_, *text);  // NaN, Infinity: the last of them is a letter
    } else {
      json_ += *text;
    }
  }
  json_.push_back('}');
  return made_of(json_, number, {});
}

rows::row source_table::read_item(const result& from, std::size_t row, std::size_t item_at,
                                  std::uint64_t number, std::string id_text) const {
  return made_of(from.text(row, item_at), number, std::move(id_text));
}

rows::row source_table::made_of(std::string_view json, std::uint64_t number,
                                std::string id_text) const {
  if (!must_check_) return rows::row(number, std::move(id_text), record::json(json));
  if (const auto problem = json_text::check(json)) {
    rows::row bad(number, std::move(id_text), record::line(json));
    bad.undecodable = "not JSON: " + problem->why + " at byte " + std::to_string(problem->at);
    return bad;
  }
  // A column of type json keeps its newlines; outside of its strings JSON does not mind.
  std::string line(json);
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return rows::row(number, std::move(id_text), record::json(line));
}

}  // namespace brigade::postgres
