#include "connect/http_desk.hpp"

#include "connect/http_body.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <functional>
#include <utility>

namespace brigade {
namespace {

constexpr std::size_t queued_bytes_max = std::size_t{64} << 20;
constexpr std::size_t remembered_items_max = 10'000;
constexpr std::size_t error_bytes_max = 1000;
constexpr unsigned unknown_yet = 504;
constexpr std::string_view stopping = "the pipeline is stopping, and did not take this";
constexpr std::string_view gave_up = "the pipeline ended before this was done";

/// 200: never send it again. 422: it will never do. 503: it was not done; send it again.
unsigned status_of(outcome what) {
  switch (what) {
    case outcome::delivered:
    case outcome::filtered:
      return 200;
    case outcome::dead_lettered:
      return 422;
    case outcome::dropped:
    case outcome::returned:
      break;
  }
  return 503;
}

/// Whether an item with this outcome is not taken a second time under its key.
bool is_final(outcome what) { return status_of(what) != 503; }

void append_text(std::string& to, std::string_view text) {
  if (text.size() <= error_bytes_max && valid_utf8(text)) return append_json_quoted(to, text);
  append_json_quoted(to, excerpt(text, error_bytes_max));
}

/// `#` and `/` stand between an id and a number behind it.
std::string escaped(std::string_view key) {
  std::string result;
  for (const char c : key) {
    if (c == '#' || c == '/' || c == '%') {
      result += c == '#' ? "%23" : c == '/' ? "%2F" : "%25";
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

http_answer http_error(unsigned status, std::string_view error, bool try_later) {
  http_answer answer;
  answer.status = status;
  answer.try_later = try_later;
  answer.body = "{\"status\":" + std::to_string(status) + ",\"error\":";
  append_text(answer.body, error);
  answer.body += "}";
  return answer;
}

/// The items of one request, on their way.
struct http_desk::posting {
  struct entry {
    enum class state : std::uint8_t { waiting, in_work, over };
    state at = state::waiting;
    outcome what = outcome::delivered;
    bool has_number = false;
    std::uint64_t number = 0;
    std::string error;
  };

  void finish(std::size_t index, outcome what, std::string_view error) {
    entry& each = entries[index];
    each.at = entry::state::over;
    each.what = what;
    each.error = error.substr(0, error_bytes_max + 1);  // it is told that there is more
    --open;
  }
  [[nodiscard]] bool is_over() const { return open == 0 || refusal.has_value(); }
  /// The next that nobody took; `entries.size()`: none.
  [[nodiscard]] std::size_t skip_taken() {
    while (next < entries.size() && entries[next].at != entry::state::waiting) ++next;
    return next;
  }

  std::vector<record> items;
  std::vector<entry> entries;
  std::size_t bytes = 0;    ///< of those that wait
  std::size_t waiting = 0;  ///< that nobody took yet
  std::size_t next = 0;
  std::size_t open = 0;  ///< not over
  std::size_t listeners = 0;
  std::size_t fingerprint = 0;  ///< of the body
  std::string key;
  std::string id;  ///< of the items, where there is a key
  std::optional<http_answer> refusal;
  event ended{"outcomes of a request"};
  bool is_batch = false;
  bool was_taken = false;  ///< one of its items was
};

http_desk::http_desk(http_desk_options options, std::string partition)
    : options_(std::move(options)), partition_(std::move(partition)) {}

task<http_answer> http_desk::post(http_request request) {
  if (stopping_) co_return http_error(503, stopping, true);
  http_items given = items_of_body(request.kind, request.body, options_.items_max);
  if (given.status != 0) co_return http_error(given.status, given.error);
  auto fresh = std::make_shared<posting>();
  fresh->fingerprint = std::hash<std::string>{}(request.body) ^ std::size_t{given.is_batch};
  std::string().swap(request.body);
  fresh->items = std::move(given.items);
  fresh->is_batch = given.is_batch;
  fresh->entries.resize(fresh->items.size());
  fresh->open = fresh->entries.size();
  if (request.key.empty()) {
    admit(fresh);
  } else {
    fresh->id = options_.name + ":key-" + escaped(request.key);
    fresh->key = std::move(request.key);
    auto finding = keyed(std::move(fresh));
    fresh = co_await std::move(finding);
  }
  auto waiting = reply(std::move(fresh));
  co_return co_await std::move(waiting);
}

// The posting that is known by this key, or the fresh one, which is now.
task<http_desk::posting_ptr> http_desk::keyed(posting_ptr fresh) {
  const auto found = keys_.find(fresh->key);
  const posting_ptr known = found == keys_.end() ? nullptr : found->second;
  if (known != nullptr) {
    if (known->fingerprint != fresh->fingerprint) {
      fresh->key.clear();
      refuse(fresh, http_error(422, "this Idempotency-Key was used for another body"));
      co_return fresh;
    }
    const bool is_told = std::ranges::all_of(known->entries, [](const posting::entry& each) {
      return each.at != posting::entry::state::over || is_final(each.what);
    });
    if (!known->is_over() || is_told) co_return known;
  }
  keys_[fresh->key] = fresh;
  if (known != nullptr) {
    for (std::size_t i = 0; i < known->entries.size(); ++i) {
      const posting::entry& each = known->entries[i];
      if (is_final(each.what)) fresh->finish(i, each.what, each.error);
    }
  } else if (options_.memory) {
    auto remembering = remember(fresh);
    co_await std::move(remembering);
  }
  if (fresh->refusal) co_return fresh;
  if (fresh->open == 0) {
    conclude(fresh);
  } else {
    admit(fresh);
  }
  co_return fresh;
}

// Others with the same key wait meanwhile; whoever comes first looks for all.
task<> http_desk::remember(posting_ptr fresh) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < fresh->entries.size(); ++i) ids.push_back(id_of(*fresh, i));
  std::string failed = "the server is going away";
  try {
    auto looking = options_.memory(std::move(ids));
    const auto results = co_await std::move(looking);
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (results[i] && is_final(results[i]->what)) {
        fresh->finish(i, results[i]->what, results[i]->error);
      }
    }
    co_return;
  } catch (const std::exception& error) {
    failed = error.what();
  } catch (...) {
    refuse(fresh, http_error(503, failed, true));
    throw;
  }
  refuse(fresh, http_error(503, failed, true));
}

bool http_desk::is_full(const posting& newcomer) const {
  if (queue_.empty()) return false;
  return queued_items_ + newcomer.open > options_.backlog ||
         queued_bytes_ + newcomer.bytes > queued_bytes_max ||
         (!somebody_takes_ && loop::current().now() - moved_ > patience);
}

void http_desk::admit(const posting_ptr& what) {
  if (what->entries.empty()) return conclude(what);
  if (stopping_) return refuse(what, http_error(503, stopping, true));
  what->waiting = what->open;
  for (std::size_t i = 0; i < what->items.size(); ++i) {
    if (what->entries[i].at == posting::entry::state::waiting) {
      what->bytes += size_in_bytes(what->items[i]) + sizeof(posting::entry);
    }
  }
  if (is_full(*what)) {
    return refuse(
        what, http_error(429, "the pipeline takes no more at present; nothing was taken", true));
  }
  if (queue_.empty()) moved_ = loop::current().now();
  queue_.push_back(what);
  queued_items_ += what->waiting;
  queued_bytes_ += what->bytes;
  arrived_.set();
}

void http_desk::refuse(const posting_ptr& what, http_answer answer) {
  what->refusal = std::move(answer);
  const auto known = keys_.find(what->key);
  if (known != keys_.end() && known->second == what) keys_.erase(known);
  what->ended.set();
}

/// All is known of it.
void http_desk::conclude(const posting_ptr& what) {
  what->items.clear();
  what->items.shrink_to_fit();
  what->ended.set();
  if (what->key.empty()) return;
  ended_.push_back(what);
  ended_items_ += what->entries.size() + 1;  // an empty batch is remembered, too
  while (ended_items_ > remembered_items_max && ended_.size() > 1) {
    const posting_ptr oldest = std::move(ended_.front());
    ended_.pop_front();
    ended_items_ -= oldest->entries.size() + 1;
    const auto known = keys_.find(oldest->key);
    if (known != keys_.end() && known->second == oldest) keys_.erase(known);
  }
}

task<> http_desk::until_over(posting_ptr what) { co_await what->ended.wait(); }

task<http_answer> http_desk::reply(posting_ptr to) {
  struct listener {
    explicit listener(posting& to_) : of(to_) { ++of.listeners; }
    ~listener() { --of.listeners; }
    posting& of;
  };
  const listener listening(*to);
  if (!to->is_over()) {
    try {
      auto limited = timeout(options_.reply_timeout, until_over(to));
      co_await std::move(limited);
    } catch (const timed_out&) {
      const bool is_last = to->listeners == 1 && !to->is_over();
      if (is_last && !to->was_taken && to->waiting > 0) withdraw(to);
    }
  }
  if (to->refusal) co_return *to->refusal;
  co_return answer_of(*to);
}

/// Nobody took any of it: then that can be said, and is better than not to know.
void http_desk::withdraw(const posting_ptr& what) {
  std::erase(queue_, what);
  queued_items_ -= what->waiting;
  queued_bytes_ -= what->bytes;
  refuse(what, http_error(429, "the pipeline took nothing in time; nothing was taken", true));
}

task<std::vector<source_item>> http_desk::take(std::size_t items_max) {
  struct presence {
    explicit presence(bool& flag_) : flag(flag_) { flag = true; }
    ~presence() { flag = false; }
    bool& flag;
  };
  const presence here(somebody_takes_);
  while (queue_.empty()) {
    arrived_.clear();
    co_await arrived_.wait();
  }
  std::vector<source_item> items;
  items.reserve(std::min(items_max, queued_items_));
  while (!queue_.empty() && items.size() < items_max) {
    const posting_ptr from = queue_.front();
    for (std::size_t i = from->skip_taken(); i < from->entries.size() && items.size() < items_max;
         i = from->skip_taken()) {
      items.push_back(give(from, i));
    }
    if (from->waiting != 0) continue;
    queued_bytes_ -= from->bytes;
    queue_.pop_front();
  }
  moved_ = loop::current().now();
  co_return items;
}

source_item http_desk::give(const posting_ptr& from, std::size_t index) {
  posting::entry& each = from->entries[index];
  each.at = posting::entry::state::in_work;
  each.has_number = true;
  each.number = next_++;
  from->was_taken = true;
  --from->waiting;
  --queued_items_;
  in_work_.emplace(each.number, place{from, index});
  source_item made(payload(std::move(from->items[index])), 0, each.number, next_);
  if (!from->key.empty()) made.id = id_of(*from, index);
  return made;
}

void http_desk::settled(const settled_item& what) {
  const auto found = in_work_.find(what.begin);
  if (found == in_work_.end()) return;
  const place at = std::move(found->second);
  in_work_.erase(found);
  const bool is_told = !is_final(what.result) || what.result == outcome::dead_lettered;
  at.of->finish(at.index, what.result, is_told ? what.error : std::string_view());
  if (at.of->open == 0) conclude(at.of);
}

void http_desk::stop() {
  stopping_ = true;
  const std::deque<posting_ptr> left = std::exchange(queue_, {});
  queued_items_ = queued_bytes_ = 0;
  for (const posting_ptr& each : left) {
    for (std::size_t i = each->skip_taken(); i < each->entries.size(); i = each->skip_taken()) {
      each->finish(i, outcome::returned, stopping);
    }
    each->waiting = 0;
    if (each->open == 0) conclude(each);
  }
}

void http_desk::give_back() {
  stop();
  for (const auto& [number, at] : std::exchange(in_work_, {})) {
    at.of->finish(at.index, outcome::returned, gave_up);
    if (at.of->open == 0) conclude(at.of);
  }
}

std::string http_desk::id_of(const posting& of, std::size_t index) const {
  if (of.id.empty()) return partition_ + ":" + std::to_string(of.entries[index].number);
  return of.is_batch ? of.id + "#" + std::to_string(index + 1) : of.id;
}

void http_desk::append_item(std::string& to, const posting& of, std::size_t index,
                            unsigned status) const {
  const posting::entry& each = of.entries[index];
  to += "{\"id\":";
  if (of.id.empty() && !each.has_number) {  // it never got one
    to += "null";
  } else {
    append_json_quoted(to, id_of(of, index));
  }
  to += ",\"status\":" + std::to_string(status) + ",\"outcome\":\"";
  to += status == unknown_yet ? std::string_view("unknown") : to_string(each.what);
  to += '"';
  if (status == unknown_yet) {
    to += R"(,"error":"there was no outcome in time; the item stays in work")";
  } else if (!each.error.empty()) {
    to += ",\"error\":";
    append_text(to, each.error);
  }
  to += '}';
}

/// 207 where items have not all the same status.
http_answer http_desk::answer_of(const posting& of) const {
  http_answer answer;
  if (of.is_batch) answer.body = "[";
  for (std::size_t i = 0; i < of.entries.size(); ++i) {
    const posting::entry& each = of.entries[i];
    const bool is_known = each.at == posting::entry::state::over;
    const unsigned status = is_known ? status_of(each.what) : unknown_yet;
    answer.status = i == 0 || answer.status == status ? status : 207;
    answer.try_later = answer.try_later || status == 503;
    if (i != 0) answer.body += ",\n ";
    append_item(answer.body, of, i, status);
  }
  if (of.is_batch) answer.body += "]";
  return answer;
}

}  // namespace brigade
