#include "connect/postgres_sink.hpp"

#include "connect/postgres_writer.hpp"

#include <algorithm>
#include <memory>

namespace brigade::postgres {
namespace {

class postgres_sink final : public sink {
 public:
  postgres_sink(writer_options options, bool wants_names)
      : writer_(std::move(options)), wants_names_(wants_names) {}

  task<std::vector<partition_mark>> open(const sink_resume& resume) override {
    return writer_.open(resume);
  }

  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override {
    write_result result;
    result.token = std::to_string(writer_.covered_with(marks));
    result.failures = co_await writer_.write(batch, marks);
    co_return result;
  }

  task<> commit_marks(std::span<const partition_mark> marks) override {
    return writer_.commit_marks(marks);
  }

  task<> close() override {
    writer_.close();
    co_return;
  }

  [[nodiscard]] bool transactional() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return wants_names_; }

 private:
  writer writer_;
  bool wants_names_;
};

table_options read_table(const settings& given) {
  table_options into;
  const std::string& name = given.text("table");
  const std::size_t dot = name.find('.');
  if (dot != std::string::npos) into.schema = name.substr(0, dot);
  into.name = dot == std::string::npos ? name : name.substr(dot + 1);
  if (into.name.empty() || (dot != std::string::npos && into.schema.empty())) {
    throw config_error("table", "the name is empty");
  }
  if (into.name.starts_with("_brigade_")) {
    throw config_error("table", "'" + into.name + "' is a reserved name");
  }
  if (into.name.size() > 63 || into.schema.size() > 63) {
    throw config_error("table", "the name is longer than the 63 bytes PostgreSQL allows");
  }
  if (given.has("columns")) into.columns = given.list("columns");
  if (std::ranges::find(into.columns, "") != into.columns.end()) {
    throw config_error("columns", "a name is empty");
  }
  if (!given.has("key")) return into;
  into.key = given.text("key");
  if (into.key.empty()) throw config_error("key", "the name is empty");
  if (!into.columns.empty() && std::ranges::find(into.columns, into.key) == into.columns.end()) {
    throw config_error("key", "'" + into.key + "' is not one of the columns");
  }
  return into;
}

std::unique_ptr<sink> make_sink(const settings& given, const component_context& context) {
  const std::string& conninfo = given.text("connection");
  if (const auto problem = conninfo_problem(conninfo)) {
    throw config_error("connection", "no connection string: " + *problem +
                                         "; write 'host=... dbname=...' or 'postgresql://...'");
  }
  connect_options where(conninfo);
  where.application_name = "brigade " + context.pipeline;
  writer_options options(std::move(where));
  options.into = read_table(given);
  options.dedupe = given.flag("dedupe");
  options.copies = given.text("method") == "copy";
  options.give_up_after = context.give_up_after.value_or(options.give_up_after);
  const bool wants_names = options.dedupe;
  return std::make_unique<postgres_sink>(std::move(options), wants_names);
}

field_spec field(std::string name, field_type type, std::string doc) {
  field_spec made;
  made.name = std::move(name);
  made.type = type;
  made.doc = std::move(doc);
  return made;
}

}  // namespace

component sink_component() {
  component made;
  made.kind = component_kind::sink;
  made.name = "postgres";
  made.doc = "Writes a row an item, exactly once: rows and marks share a transaction.";
  field_spec where = field("connection", field_type::text,
                           "libpq's connection string or URI; better without a password: "
                           "PGPASSWORD or ~/.pgpass are read.");
  where.required = true;
  where.secret = true;  // it may hold a password
  where.example = "host=localhost dbname=shop";
  field_spec into = field("table", field_type::text,
                          "The table, 'name' or 'schema.name'; it is made with the types of the "
                          "first batch.");
  into.required = true;
  into.example = "items";
  field_spec columns = field("columns", field_type::text_list,
                             "Which top-level fields to store; all, and new ones as they appear.");
  columns.example = "[id, total]";
  field_spec key = field("key", field_type::text,
                         "A column by which a row replaces the one that is there (upsert).");
  key.example = "id";
  field_spec dedupe = field("dedupe", field_type::boolean,
                            "Whether an item whose key was written before is not written again.");
  dedupe.fallback = "false";
  field_spec method = field("method", field_type::choice,
                            "copy: COPY, the fastest. insert: INSERT, where COPY or temporary "
                            "tables are not allowed (row-level security).");
  method.fallback = "copy";
  method.choices = {"copy", "insert"};
  made.fields = {std::move(where), std::move(into),   std::move(columns),
                 std::move(key),   std::move(dedupe), std::move(method)};
  made.make_sink = make_sink;
  return made;
}

}  // namespace brigade::postgres
