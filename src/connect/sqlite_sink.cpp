#include "connect/sqlite_sink.hpp"

#include "connect/guarded.hpp"
#include "connect/sqlite_source.hpp"

#include <brigade/connect/sqlite.hpp>
#include <brigade/pipeline/registry.hpp>

#include <charconv>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace brigade {
namespace {

using guarded_writer = guarded<sqlite::writer>;

// The writer is made where it may block.
struct opened {
  std::shared_ptr<guarded_writer> writer;
  std::vector<partition_mark> marks;
  std::uint64_t covered_before = 0;  ///< by marks that are forgotten
};

// How much of its sources a set of marks covers. It only grows, so a database that covers less than
// what was recorded of it is an older one, and lacks rows that nothing would bring again.
std::uint64_t covered(std::span<const partition_mark> marks) {
  std::uint64_t sum = 0;
  for (const partition_mark& each : marks) {
    sum += each.at.low;
    for (const mark::range& range : each.at.above) sum += range.end - range.begin;
  }
  return sum;
}

// Another kind of sink may have been here before; its token says nothing.
std::uint64_t recorded(std::string_view token) {
  std::uint64_t sum = 0;
  const char* const end = token.data() + token.size();
  const auto [stop, error] = std::from_chars(token.data(), end, sum);
  return error == std::errc{} && stop == end ? sum : 0;
}

opened open_writer(const sqlite::writer_options& options, const sink_resume& resume) {
  opened result;
  result.writer = std::make_shared<guarded_writer>(options, resume);
  result.marks = result.writer->object.marks();
  result.covered_before = result.writer->object.forgotten_units();
  if (covered(result.marks) + result.covered_before < recorded(resume.token)) {
    throw std::runtime_error(options.path +
                             " is older than what the ledger knows of it (restored "
                             "from a backup?), so rows would be missing for good; bring back the "
                             "newer one, or run with --fresh to begin again");
  }
  return result;
}

struct written {
  std::vector<std::optional<failure>> failures;
  std::uint64_t covered_before = 0;
};

written write_rows(sqlite::writer& to, const std::vector<sqlite::row_to_write>& rows,
                   const std::vector<partition_mark>& marks) {
  written result;
  result.failures = to.write(rows, marks);
  result.covered_before = to.forgotten_units();
  return result;
}

void write_marks(sqlite::writer& to, const std::vector<partition_mark>& marks) {
  to.commit_marks(marks);
}

class sqlite_sink final : public sink {
 public:
  explicit sqlite_sink(sqlite::writer_options options) : options_(std::move(options)) {}

  task<std::vector<partition_mark>> open(const sink_resume& resume) override {
    auto call = to_thread(&open_writer, options_, resume);
    opened result = co_await std::move(call);
    writer_ = std::move(result.writer);
    covered_before_ = result.covered_before;
    co_return std::move(result.marks);
  }

  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override {
    std::vector<sqlite::row_to_write> rows;
    rows.reserve(batch.size());
    for (const sink_item& item : batch) {
      rows.push_back(sqlite::row_to_write{std::string(item.key), item.value->get<record>()});
    }
    write_result result;
    result.token = std::to_string(covered(marks) + covered_before_);
    std::vector<partition_mark> to_commit(marks.begin(), marks.end());
    auto call = call_guarded(writer_, &write_rows, std::move(rows), std::move(to_commit));
    written done = co_await std::move(call);
    result.failures = std::move(done.failures);
    covered_before_ = done.covered_before;
    co_return result;
  }

  task<> close() override {
    auto call = to_thread(&close_writer, std::move(writer_));
    co_await std::move(call);
  }

  [[nodiscard]] bool transactional() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return options_.dedupe; }

  task<> commit_marks(std::span<const partition_mark> marks) override {
    std::vector<partition_mark> to_commit(marks.begin(), marks.end());
    auto call = call_guarded(writer_, &write_marks, std::move(to_commit));
    co_await std::move(call);
  }

 private:
  // The last connection to a database moves its log into it, which takes a while.
  static void close_writer(std::shared_ptr<guarded_writer> writer) { writer.reset(); }

  sqlite::writer_options options_;
  std::shared_ptr<guarded_writer> writer_;
  std::uint64_t covered_before_ = 0;  ///< by marks that are forgotten
};

std::unique_ptr<sink> make_sink(const settings& given, const component_context& context) {
  sqlite::writer_options options;
  const std::string& file = given.text("file");
  if (file.empty()) throw config_error("file", "the path is empty");
  options.path = (context.folder / file).lexically_normal().string();
  options.table = given.text("table");
  const std::string table = sqlite::folded(options.table);
  if (table.empty()) throw config_error("table", "the name is empty");
  if (table.starts_with("sqlite_") || table.starts_with("_brigade_")) {
    throw config_error("table", "'" + options.table + "' is a reserved name");
  }
  if (given.has("columns")) options.columns = given.list("columns");
  if (given.has("key")) options.key = given.text("key");
  if (given.has("key") && options.key.empty()) throw config_error("key", "the name is empty");
  bool has_key = options.key.empty() || options.columns.empty();
  for (const std::string& column : options.columns) {
    if (column.empty()) throw config_error("columns", "a name is empty");
    has_key = has_key || sqlite::same_column(column, options.key);
  }
  if (!has_key) throw config_error("key", "'" + options.key + "' is not one of the columns");
  options.dedupe = given.flag("dedupe");
  return make_sqlite_sink(std::move(options));
}

}  // namespace

std::unique_ptr<sink> make_sqlite_sink(sqlite::writer_options options) {
  return std::make_unique<sqlite_sink>(std::move(options));
}

void register_sqlite(registry& to) {
  component sqlite;
  sqlite.kind = component_kind::sink;
  sqlite.name = "sqlite";
  sqlite.doc = "Writes a row an item, exactly once: rows and marks share a transaction.";
  sqlite.fields = {
      field_spec{.name = "file",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "The database; it is made when it is not there.",
                 .required = true,
                 .example = "output.db"},
      field_spec{.name = "table",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "The table; it is made with the types of the first batch.",
                 .required = true,
                 .example = "items"},
      field_spec{.name = "columns",
                 .type = field_type::text_list,
                 .fallback = {},
                 .doc = "Which top-level fields to store; all, and new ones as they appear.",
                 .example = "[id, total]"},
      field_spec{.name = "key",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "A column by which a row replaces the one that is there (upsert).",
                 .example = "id"},
      field_spec{.name = "dedupe",
                 .type = field_type::boolean,
                 .fallback = "false",
                 .doc = "Whether an item whose key was written before is not written again."}};
  sqlite.make_sink = make_sink;
  to.add(std::move(sqlite));
  register_sqlite_source(to);
}

}  // namespace brigade
