/// What the sources that read tables are told, and what they give: the same for every database.
#pragma once
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/registry.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade::rows {

enum class reading : std::uint8_t {
  claim,   ///< a row goes to one of those that claim, and is marked when it is done
  cursor,  ///< rows in the order of an id that grows, behind the last that was read
};

struct table_options {
  std::string pipeline;
  std::string source;  ///< its name
  reading by = reading::cursor;
  bool tail = false;                 ///< goes on when nothing is left
  std::string table;                 ///< as written; empty: there is a query
  std::string query;                 ///< SELECT, of a cursor
  std::string id;                    ///< a column; empty: the primary key
  std::vector<std::string> columns;  ///< empty: all
  std::string where;                 ///< SQL; empty: all rows
  std::string order;                 ///< SQL; empty: by id
  std::chrono::milliseconds poll{1000};
  std::chrono::milliseconds lease{30'000};
  std::chrono::milliseconds lag{0};
  /// How long the database may be away; 0: for ever.
  std::chrono::milliseconds give_up_after{0};

  /// What ids of items and partitions begin with: `orders:public.orders`. Blanks, `/` and `:` of a
  /// table's name are `_` in it.
  [[nodiscard]] std::string front() const;
  /// What makes it another source.
  [[nodiscard]] std::string fingerprint(const std::string& where_it_is) const;
};

/// The fields of both, but for where the database is; `table_options_of` reads them.
[[nodiscard]] std::vector<field_spec> table_fields(const std::string& poll_doc);
/// Throws config_error.
[[nodiscard]] table_options table_options_of(const settings& given,
                                             const component_context& context);

/// A row on its way into the pipeline.
struct row {
  explicit row(std::uint64_t number_, std::string id_, record value_)
      : number(number_), id(std::move(id_)), value(std::move(value_)) {}
  std::uint64_t number;  ///< its position: of a cursor its id, of a claim the claim's number
  std::string id;        ///< its key as text
  record value;
  std::optional<std::string> undecodable;
  /// What it takes of memory, about.
  [[nodiscard]] std::size_t bytes() const { return sizeof(row) + id.size() + value.raw().size(); }
};

/// What became of a claimed row.
struct settled_row {
  explicit settled_row(std::uint64_t number_, std::string_view result_, std::string stage_ = {},
                       std::string error_ = {})
      : number(number_), result(result_), stage(std::move(stage_)), error(std::move(error_)) {}
  std::uint64_t number;
  std::string_view result;  ///< an outcome's word, or `finished`; `returned`: it is given back
  std::string stage;
  std::string error;
};

/// Had its outcome before a kill; the ledger has the word.
inline constexpr std::string_view finished_before = "finished";

/// The database cannot be asked now, whatever it is asked; later it can.
class outage : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace brigade::rows
