// What comes in on a connection: requests out of its bytes, and items out of their bodies.
#include "connect/http_request.hpp"

#include "connect/http_body.hpp"
#include "connect/json_text.hpp"
#include "fuzz.hpp"

#include <string>
#include <vector>

namespace brigade::fuzz {
namespace {

using state = http_request_reader::state;

http_rules rules() {
  http_rules made;
  made.path = "/";
  made.body_bytes_max = 512;
  made.header_bytes_max = 1024;
  return made;
}

struct heard {
  bool is_refused = false;
  std::string body, key;
  bool is_lines = false, keep_alive = false;
  friend bool operator==(const heard&, const heard&) = default;
};

/// The requests of a connection whose bytes come in pieces that end where `next_end` says; the
/// last is refused, or not whole and not among them.
template <class NextEnd>
std::vector<heard> listen(std::string_view stream, NextEnd next_end) {
  const http_rules by = rules();
  http_request_reader reader(by);
  std::vector<heard> all;
  std::string waiting;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t end = next_end(at);
    waiting += stream.substr(at, end - at);
    at = end;
    for (bool more = true; more && !waiting.empty();) {
      // A copy of the exact size, so that a sanitizer sees a step beyond it.
      const std::vector<char> bytes(waiting.begin(), waiting.end());
      const std::size_t used = reader.feed({bytes.data(), bytes.size()});
      demand(used <= waiting.size(), "no more is used than is there");
      waiting.erase(0, used);
      demand(reader.body_bytes() <= by.body_bytes_max, "no body is longer than is allowed");
      if (reader.at() == state::refused) {
        const unsigned status = reader.refusal().status;
        demand(status >= 400 && status < 600 && !reader.refusal().error.empty(),
               "a refusal says why");
        all.emplace_back().is_refused = true;
        return all;
      }
      more = reader.at() == state::complete;
      demand(more || at < stream.size() || waiting.size() <= 2 * by.header_bytes_max,
             "what waits is bounded");
      if (!more) break;
      const http_request got = reader.take_request();
      all.push_back({false, got.body, got.key, got.kind == http_body_kind::ndjson, got.keep_alive});
      reader.next();
    }
  }
  return all;
}

void read_items(const heard& request) {
  constexpr std::size_t items_max = 64;
  const http_items items = items_of_body(
      request.is_lines ? http_body_kind::ndjson : http_body_kind::json, request.body, items_max);
  demand(items.items.size() <= items_max, "there are not too many items");
  demand((items.status == 0) == items.error.empty(), "a body is taken, or told why not");
  demand(items.status == 0 || items.items.empty(), "a body is taken whole or not at all");
  for (const record& item : items.items) {
    demand(!json_text::check(item.raw()), "an item is JSON");
    demand(item.raw().find_first_of("\r\n") == item.raw().npos, "an item stands on one line");
  }
}

// In pieces, that something is wrong may be seen only when more has come.
void demand_same(const std::vector<heard>& whole, std::vector<heard> parts) {
  const bool may_wait = !whole.empty() && whole.back().is_refused;
  if (may_wait && parts.size() + 1 == whole.size()) parts.push_back(whole.back());
  demand(parts == whole, "it makes no difference how bytes come in");
}

void run(std::string_view input) {
  chance random(input);
  const auto at_once = [&](std::size_t) { return input.size(); };
  const auto somewhere = [&](std::size_t at) { return at + 1 + random.below(input.size() - at); };
  const std::vector<heard> whole = listen(input, at_once);
  demand_same(whole, listen(input, somewhere));
  demand_same(whole, listen(input, [](std::size_t at) { return at + 1; }));
  for (const heard& each : whole) {
    if (!each.is_refused) read_items(each);
  }
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(http_request, brigade::fuzz::run);
