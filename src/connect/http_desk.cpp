#include "connect/http_desk.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <utility>

namespace brigade {
namespace {

constexpr std::size_t queued_bytes_max = std::size_t{64} << 20;
constexpr std::size_t remembered_items_max = 10'000;
constexpr unsigned unknown_yet = 504;
constexpr std::string_view not_in_time = "there was no outcome in time; the item stays in work";
constexpr std::string_view stopped_in_doubt =
    "stopped while it was written: whether that came to be is not known";
constexpr std::string_view gave_up = "the pipeline ended before this was done";

}  // namespace

/// The items of one request, on their way.
struct http_desk::posting {
  struct entry {
    enum class state : std::uint8_t { waiting, in_work, over };
    state at = state::waiting;
    outcome what = outcome::delivered;
    bool has_number = false;
    bool in_doubt = false;
    std::uint64_t number = 0;
    std::string error;
  };

  struct refused {
    unsigned status;
    std::string error;
    bool try_later;
  };

  void finish(std::size_t index, outcome what, std::string_view error) {
    entry& each = entries[index];
    each.at = entry::state::over;
    each.what = what;
    each.error = error.substr(0, http_error_bytes_max + 1);  // it is told that there is more
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
  std::string id;               ///< by which it is known, and with it its items; empty: it is not
  std::optional<refused> refusal;
  event ended{"outcomes of a request"};
  bool is_batch = false;
  bool was_taken = false;  ///< one of its items was
};

http_desk::http_desk(http_desk_options options, std::string partition)
    : options_(std::move(options)), partition_(std::move(partition)) {}

task<http_answer> http_desk::post(http_request request) {
  if (stopping_) co_return http_error(503, http_is_stopping, true);
  http_items given = items_of_body(request.kind, request.body, options_.items_max);
  if (given.status != 0) co_return http_error(given.status, given.error);
  const bool is_batch = given.is_batch;
  const std::size_t fingerprint = std::hash<std::string>{}(request.body) ^ std::size_t{is_batch};
  std::string().swap(request.body);
  postings all;
  if (request.key.empty() && options_.item_id) {
    all = begin_each(std::move(given));
  } else {
    all.push_back(begin(std::move(given), fingerprint));
    if (!request.key.empty()) {
      all.front()->id = options_.name + ":" + http_id_of_key(request.key);
    }
  }
  if (all.size() == 1 && all.front()->id.empty()) {
    admit(all.front());
  } else {
    auto finding = keyed(std::move(all));
    all = co_await std::move(finding);
  }
  auto waiting = wait_for(all);
  co_await std::move(waiting);
  const bool has_one_refusal = all.size() == 1 && all.front()->refusal.has_value();
  if (!has_one_refusal) co_return answer_of(all, is_batch);
  const posting::refused& why = *all.front()->refusal;
  co_return http_error(why.status, why.error, why.try_later);
}

http_desk::posting_ptr http_desk::begin(http_items given, std::size_t fingerprint) const {
  auto made = std::make_shared<posting>();
  made->fingerprint = fingerprint;
  made->items = std::move(given.items);
  made->is_batch = given.is_batch;
  made->entries.resize(made->items.size());
  made->open = made->entries.size();
  return made;
}

/// Each by itself, where it has an id of its own.
http_desk::postings http_desk::begin_each(http_items given) const {
  postings all;
  all.reserve(given.items.size());
  for (record& item : given.items) {
    const std::string called = options_.item_id(payload(record(item)));
    const std::size_t fingerprint = std::hash<std::string_view>{}(item.raw());
    http_items one;
    one.items.push_back(std::move(item));
    all.push_back(begin(std::move(one), fingerprint));
    if (!called.empty()) all.back()->id = options_.name + ":" + http_id_of_item(called);
  }
  return all;
}

/// Who is waited for in its place, or is told of; itself, when it cannot be taken.
http_desk::posting_ptr http_desk::known_instead_of(const posting_ptr& fresh) {
  const auto found = keys_.find(fresh->id);
  if (found == keys_.end()) return nullptr;
  const posting_ptr known = found->second;
  if (known->fingerprint != fresh->fingerprint) {
    refuse(fresh, 422,
           "this Idempotency-Key, or id, was used for something else (" + fresh->id + ")", false);
    return fresh;
  }
  const bool is_told = std::ranges::all_of(known->entries, [](const posting::entry& each) {
    return each.at != posting::entry::state::over || is_final(each.what);
  });
  if (!known->is_over() || is_told) return known;
  for (std::size_t i = 0; i < known->entries.size(); ++i) {
    const posting::entry& each = known->entries[i];
    if (is_final(each.what)) fresh->finish(i, each.what, each.error);
  }
  return nullptr;
}

// The postings that are known by these ids, or the fresh ones, which are now.
task<http_desk::postings> http_desk::keyed(postings all) {
  postings fresh;
  postings unheard;  // of these the ledger may know something
  for (posting_ptr& each : all) {
    if (!each->id.empty()) {
      if (const posting_ptr known = known_instead_of(each)) {
        each = known;
        continue;
      }
      const auto [at, is_unheard] = keys_.insert_or_assign(each->id, each);
      if (is_unheard) unheard.push_back(each);
    }
    fresh.push_back(each);
  }
  if (!unheard.empty() && options_.memory) {
    auto remembering = remember(std::move(unheard));
    co_await std::move(remembering);
  }
  for (const posting_ptr& each : fresh) {
    if (each->refusal) continue;
    if (each->open == 0) {
      conclude(each);
    } else {
      admit(each);
    }
  }
  co_return all;
}

// Others with the same key wait meanwhile; whoever comes first looks for all.
task<> http_desk::remember(postings fresh) {
  std::vector<std::string> ids;
  for (const posting_ptr& each : fresh) {
    for (std::size_t i = 0; i < each->entries.size(); ++i) ids.push_back(id_of(*each, i));
  }
  std::string failed = "the server is going away";
  std::exception_ptr cancelled_by;
  try {
    auto looking = options_.memory(std::move(ids));
    const auto results = co_await std::move(looking);
    auto result = results.begin();
    for (const posting_ptr& each : fresh) {
      for (std::size_t i = 0; i < each->entries.size(); ++i, ++result) {
        if (*result && is_final((*result)->what))
          each->finish(i, (*result)->what, (*result)->error);
      }
    }
    co_return;
  } catch (const std::exception& error) {
    failed = error.what();
  } catch (...) {
    cancelled_by = std::current_exception();
  }
  for (const posting_ptr& each : fresh) refuse(each, 503, failed, true);
  if (cancelled_by) std::rethrow_exception(cancelled_by);
}

bool http_desk::is_full(const posting& newcomer) const {
  if (queue_.empty()) return false;
  return queued_items_ + newcomer.open > options_.backlog ||
         queued_bytes_ + newcomer.bytes > queued_bytes_max ||
         (!somebody_takes_ && loop::current().now() - moved_ > patience);
}

void http_desk::admit(const posting_ptr& what) {
  if (what->entries.empty()) return conclude(what);
  if (stopping_) return refuse(what, 503, http_is_stopping, true);
  what->waiting = what->open;
  for (std::size_t i = 0; i < what->items.size(); ++i) {
    if (what->entries[i].at == posting::entry::state::waiting) {
      what->bytes += size_in_bytes(what->items[i]) + sizeof(posting::entry);
    }
  }
  if (is_full(*what)) {
    return refuse(what, 429, "the pipeline takes no more at present; nothing was taken", true);
  }
  if (queue_.empty()) moved_ = loop::current().now();
  queue_.push_back(what);
  queued_items_ += what->waiting;
  queued_bytes_ += what->bytes;
  arrived_.set();
}

void http_desk::refuse(const posting_ptr& what, unsigned status, std::string_view error,
                       bool try_later) {
  what->refusal = posting::refused{status, std::string(error), try_later};
  const auto known = keys_.find(what->id);
  if (known != keys_.end() && known->second == what) keys_.erase(known);
  what->ended.set();
}

/// All is known of it.
void http_desk::conclude(const posting_ptr& what) {
  what->items.clear();
  what->items.shrink_to_fit();
  what->ended.set();
  if (what->id.empty()) return;
  ended_.push_back(what);
  ended_items_ += what->entries.size() + 1;  // an empty batch is remembered, too
  while (ended_items_ > remembered_items_max && ended_.size() > 1) {
    const posting_ptr oldest = std::move(ended_.front());
    ended_.pop_front();
    ended_items_ -= oldest->entries.size() + 1;
    const auto known = keys_.find(oldest->id);
    if (known != keys_.end() && known->second == oldest) keys_.erase(known);
  }
}

task<> http_desk::until_over(const postings& all) {
  for (const posting_ptr& each : all) {
    if (!each->is_over()) co_await each->ended.wait();
  }
}

/// For as long as somebody waits.
task<> http_desk::wait_for(const postings& all) {
  struct listener {
    explicit listener(const postings& to_) : of(to_) {
      for (const posting_ptr& each : of) ++each->listeners;
    }
    ~listener() {
      for (const posting_ptr& each : of) --each->listeners;
    }
    const postings& of;
  };
  const listener listening(all);
  if (std::ranges::all_of(all, [](const posting_ptr& each) { return each->is_over(); })) co_return;
  try {
    auto limited = timeout(options_.reply_timeout, until_over(all));
    co_await std::move(limited);
  } catch (const timed_out&) {
    for (const posting_ptr& each : all) {
      const bool is_last = each->listeners == 1 && !each->is_over();
      if (is_last && !each->was_taken && each->waiting > 0) withdraw(each);
    }
  }
}

/// Nobody took any of it: then that can be said, and is better than not to know.
void http_desk::withdraw(const posting_ptr& what) {
  std::erase(queue_, what);
  queued_items_ -= what->waiting;
  queued_bytes_ -= what->bytes;
  refuse(what, 429, "the pipeline took nothing in time; nothing was taken", true);
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
  if (!from->id.empty()) made.id = id_of(*from, index);
  return made;
}

void http_desk::settled(const settled_item& what) {
  const auto found = in_work_.find(what.begin);
  if (found == in_work_.end()) return;
  const place at = std::move(found->second);
  in_work_.erase(found);
  const bool is_told = !is_final(what.result) || what.result == outcome::dead_lettered;
  at.of->entries[at.index].in_doubt = what.in_doubt;
  at.of->finish(at.index, what.result, is_told ? what.error : std::string_view());
  if (at.of->open == 0) conclude(at.of);
}

void http_desk::stop() {
  stopping_ = true;
  const std::deque<posting_ptr> left = std::exchange(queue_, {});
  queued_items_ = queued_bytes_ = 0;
  for (const posting_ptr& each : left) {
    for (std::size_t i = each->skip_taken(); i < each->entries.size(); i = each->skip_taken()) {
      each->finish(i, outcome::returned, http_is_stopping);
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
  http_said said;
  const std::string id = id_of(of, index);
  if (!of.id.empty() || each.has_number) said.id = id;  // else it never got one
  said.status = status;
  if (of.refusal) {
    said.outcome = "refused";
    said.error = of.refusal->error;
  } else if (status == unknown_yet) {
    said.outcome = "unknown";
    said.error = each.in_doubt ? stopped_in_doubt : not_in_time;
  } else {
    said.outcome = to_string(each.what);
    said.error = each.error;
  }
  append_said(to, said);
}

/// 207 where items have not all the same status.
http_answer http_desk::answer_of(const postings& all, bool is_batch) const {
  http_answer answer;
  bool is_first = true;
  if (is_batch) answer.body = "[";
  for (const posting_ptr& of : all) {
    for (std::size_t i = 0; i < of->entries.size(); ++i) {
      const posting::entry& each = of->entries[i];
      const bool is_known = each.at == posting::entry::state::over && !each.in_doubt;
      const unsigned status = of->refusal ? of->refusal->status
                              : is_known  ? http_status_of(each.what)
                                          : unknown_yet;
      answer.status = is_first || answer.status == status ? status : 207;
      answer.try_later = answer.try_later || status == 503 || status == 429;
      if (!std::exchange(is_first, false)) answer.body += ",\n ";
      append_item(answer.body, *of, i, status);
    }
  }
  if (is_batch) answer.body += "]";
  return answer;
}

}  // namespace brigade
