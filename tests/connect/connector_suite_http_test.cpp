// The connector suite over HTTP: its sink at a server, its source with clients, both behind a wire
// that breaks.
#include "connect/http_poster.hpp"
#include "connect/http_shelf.hpp"
#include "connect/quiet_port.hpp"
#include "connect/suite_kit.hpp"
#include "connect/temporary_folder.hpp"

#include <brigade/connect/http.hpp>
#include <brigade/testing/connector_suite_gtest.hpp>

#include <boost/json/array.hpp>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace brigade {
namespace {

using test::fields;
using texts = std::vector<std::string>;

std::string text_member(const boost::json::value& item) {
  return std::string(item.at("text").as_string());
}

/// The texts of a body in any of the sink's formats; none where one of them is bad.
texts items_of(const std::string& body) {
  texts items;
  std::istringstream lines(body);
  for (std::string line; std::getline(lines, line);) {
    const boost::json::value value = boost::json::parse(line);
    if (const boost::json::array* const several = value.if_array()) {
      for (const boost::json::value& each : *several) items.push_back(text_member(each));
    } else {
      items.push_back(text_member(value));
    }
  }
  for (const std::string& each : items) {
    if (each == "bad") return {};
  }
  return items;
}

class server final : public testing::sink_far_side {
 public:
  explicit server(std::string format) : format_(std::move(format)) {}
  std::unique_ptr<sink> make_sink() override {
    const std::string url = "http://127.0.0.1:" + std::to_string(wire_.port()) + "/items";
    return test::sink_of(register_http, "http", {{"url", url}, {"format", format_}},
                         test::context_in(".", "out"));
  }
  payload item_of(const std::string& text) const override {
    return payload(record::json(test::text_object(text)));
  }
  texts stored() override { return shelf_.kept(); }
  testing::fault_proxy* wire() override { return &wire_; }

 private:
  std::string format_;
  test::http_shelf shelf_{items_of};
  testing::fault_proxy wire_{shelf_.port()};
};

testing::sink_description sends(std::string name, const std::string& format) {
  testing::sink_description what;
  what.name = std::move(name);
  what.make = [format] { return std::make_unique<server>(format); };
  what.texts.bytes.reset();
  what.texts.bad = "bad";
  what.goes_down = true;
  what.on_a_network = true;
  what.keeps_order = format != "json";  // several requests are under way at once
  return what;
}

/// Clients that send an item, or up to `batch` of them, a request, which is answered when its items
/// are over, or, if it has a journal, as soon as they are in that.
class clients final : public testing::source_far_side {
 public:
  clients(std::size_t batch, bool has_journal) : batch_(batch), has_journal_(has_journal) {}
  std::unique_ptr<source> make_source() override {
    component_context in = test::context_in(folder_.path());
    if (std::filesystem::exists(ledger_)) in.ledger = ledger_;  // there is none without a run
    test::fields given = {{"listen", "127.0.0.1:" + std::to_string(port_)}};
    if (has_journal_) {
      given.emplace_back("reply", std::string("accepted"));
      given.emplace_back("journal", std::string("intake.db"));
    }
    return test::source_of(register_http, "http", given, in);
  }
  void keeps_ledger_at(const std::filesystem::path& path) override { ledger_ = path; }
  void feed(const texts& items) override {
    for (std::size_t first = 0; first < items.size(); first += batch_) {
      const std::size_t count = std::min(batch_, items.size() - first);
      std::string body;
      for (std::size_t i = first; i < first + count; ++i) {
        body += (body.empty() ? "" : ",") + test::text_object(items[i]);
      }
      poster_.post(batch_ == 1 ? body : "[" + body + "]", count);
    }
  }
  std::string text_of(const payload& item) const override { return test::text_in(item); }
  std::size_t acknowledged() override { return poster_.delivered(); }
  testing::fault_proxy* wire() override { return &wire_; }

 private:
  std::size_t batch_;
  bool has_journal_;
  test::temporary_folder folder_;
  std::uint16_t port_ = test::quiet_port();
  std::filesystem::path ledger_;
  testing::fault_proxy wire_{port_};
  test::http_poster poster_{wire_.port()};
};

testing::source_description receives(std::string name, std::size_t batch,
                                     bool has_journal = false) {
  testing::source_description what;
  what.name = std::move(name);
  what.make = [=] { return std::make_unique<clients>(batch, has_journal); };
  what.texts.bytes.reset();
  what.goes_down = true;
  what.on_a_network = true;
  what.fed_while_open = true;
  what.hears_acknowledgements = !has_journal;
  what.excused["dead_letters_what_it_cannot_read"] = "what is no JSON is refused by 400";
  return what;
}

const bool listed = testing::add_to_gtest(sends("http", "json")) &&
                    testing::add_to_gtest(sends("http_ndjson", "ndjson")) &&
                    testing::add_to_gtest(sends("http_array", "array")) &&
                    testing::add_to_gtest(receives("http", 1)) &&
                    testing::add_to_gtest(receives("http_batches", 7)) &&
                    testing::add_to_gtest(receives("http_accepted", 7, true));

}  // namespace
}  // namespace brigade
