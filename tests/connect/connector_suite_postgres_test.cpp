// The connector suite over PostgreSQL: its sink, and rows as a source, behind a wire that breaks.
#include "connect/postgres_server.hpp"
#include "connect/suite_kit.hpp"

#include <brigade/connect/postgres.hpp>
#include <brigade/testing/connector_suite_gtest.hpp>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::fields;
using texts = std::vector<std::string>;

std::weak_ptr<test::postgres_server> running;

std::shared_ptr<void> start_server() {
  auto server = std::make_shared<test::postgres_server>();
  running = server;
  return server;
}

/// Any text in SQL, whatever it may be.
std::string in_hex(const std::string& text) {
  constexpr const char* digits = "0123456789abcdef";
  std::string hex;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  return hex;
}
std::string of_hex(const std::string& hex) {
  std::string text;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
    text += static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16));
  }
  return text;
}

/// A schema of its own in the server of the case, with a table `items`.
class schema {
 public:
  explicit schema(const std::string& columns)
      : server_(running), wire_(static_cast<std::uint16_t>(server_->port())) {
    static int made = 0;
    name_ = "suite" + std::to_string(++made);
    ask("create schema " + name_);
    ask("create table " + table() + "(" + columns + ")");
  }
  std::string ask(const std::string& sql) const { return server_->ask(sql); }
  [[nodiscard]] std::string name() const { return name_; }
  [[nodiscard]] std::string table() const { return name_ + ".items"; }
  [[nodiscard]] fields connected(const fields& more) const {
    const std::string conninfo =
        "host=127.0.0.1 port=" + std::to_string(wire_.port()) + " user=postgres dbname=postgres";
    return test::joined({{"connection", conninfo}, {"table", table()}}, more);
  }
  testing::fault_proxy& wire() { return wire_; }

 private:
  std::shared_ptr<test::postgres_server> server_;
  testing::fault_proxy wire_;
  std::string name_;
};

class table_to_fill final : public testing::sink_far_side {
 public:
  explicit table_to_fill(fields more)
      : at_("n bigserial, text text check (text != 'bad')"), more_(std::move(more)) {}
  std::unique_ptr<sink> make_sink() override {
    return test::sink_of(register_postgres, "postgres", at_.connected(more_),
                         test::context_in(".", "out"));
  }
  payload item_of(const std::string& text) const override {
    return payload(record::json(test::text_object(text)));
  }
  texts stored() override {
    std::istringstream rows(at_.ask("select encode(convert_to(text, 'UTF8'), 'hex') from " +
                                    at_.table() + " order by n"));
    texts all;
    for (std::string hex; std::getline(rows, hex, ';');) all.push_back(of_hex(hex));
    return all;
  }
  testing::fault_proxy* wire() override { return &at_.wire(); }

 private:
  schema at_;
  fields more_;
};

testing::sink_description filled(std::string name, const fields& more) {
  testing::sink_description what;
  what.name = std::move(name);
  what.surroundings = start_server;
  what.make = [more] { return std::make_unique<table_to_fill>(more); };
  what.texts.bytes.reset();
  what.texts.bad = "bad";
  what.goes_down = true;
  what.on_a_network = true;
  what.exactly_once = true;
  what.keeps_marks = true;
  return what;
}

class table_to_read final : public testing::source_far_side {
 public:
  explicit table_to_read(fields more)
      : at_("id bigserial primary key, text text"), more_(std::move(more)) {}
  std::unique_ptr<source> make_source() override {
    const fields quick = test::joined({{"poll", 5ms}}, more_);
    return test::source_of(register_postgres, "postgres", at_.connected(quick),
                           test::context_in("."));
  }
  void feed(const texts& items) override {
    std::string rows;
    for (const std::string& text : items) {
      rows += (rows.empty() ? "" : ",") + ("(convert_from('\\x" + in_hex(text) + "', 'UTF8'))");
    }
    if (!rows.empty()) at_.ask("insert into " + at_.table() + "(text) values " + rows);
  }
  std::string text_of(const payload& item) const override { return test::text_in(item); }
  // There is no table of claims before a source was open.
  std::size_t acknowledged() override {
    const std::string claims = at_.name() + "._brigade_claims";
    if (at_.ask("select to_regclass('" + claims + "') is null") == "t;") return 0;
    return std::stoul(at_.ask("select count(outcome) from " + claims));
  }
  testing::fault_proxy* wire() override { return &at_.wire(); }

 private:
  schema at_;
  fields more_;
};

testing::source_description read(std::string name, const std::string& by, const std::string& mode) {
  testing::source_description what;
  what.name = std::move(name);
  what.surroundings = start_server;
  what.make = [by, mode] {
    return std::make_unique<table_to_read>(fields{{"by", by}, {"mode", mode}});
  };
  what.texts.bytes.reset();
  what.goes_down = true;
  what.on_a_network = true;
  what.fed_while_open = mode == "tail";
  what.hears_acknowledgements = by == "claim";
  return what;
}

// Each in one of its modes, for a server a case takes its time; SQLite's have both.
const bool listed =
    testing::add_to_gtest(filled("postgres", {})) &&
    testing::add_to_gtest(filled("postgres_insert", {{"method", std::string("insert")}})) &&
    testing::add_to_gtest(filled("postgres_dedupe", {{"dedupe", true}})) &&
    testing::add_to_gtest(read("postgres_claim", "claim", "tail")) &&
    testing::add_to_gtest(read("postgres_cursor", "cursor", "once"));

}  // namespace
}  // namespace brigade
