#include "connect/http_delivery.hpp"

#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/connect/record.hpp>

#include <algorithm>
#include <utility>

namespace brigade::http {
namespace {

using indices = std::vector<std::size_t>;
using kind = item_state::kind;
using namespace std::chrono_literals;

constexpr milliseconds rest_usual{1000};

/// What was delivered is not forgotten when a delivery is cut off.
class remembered {
 public:
  remembered(far_side& in, std::span<const sink_item> batch, std::vector<item_state>& items)
      : far_(in), batch_(batch), items_(items) {}
  remembered(const remembered&) = delete;
  remembered& operator=(const remembered&) = delete;
  ~remembered() {
    if (is_finished) return;
    for (const sink_item& item : batch_) far_.held_keys.emplace_back(item.key);
    far_.held = std::move(items_);
  }
  bool is_finished = false;

 private:
  far_side& far_;
  std::span<const sink_item> batch_;
  std::vector<item_state>& items_;
};

}  // namespace

delivery::delivery(far_side& to, std::span<const sink_item> batch)
    : far_(to), batch_(batch), items_(batch.size()) {
  take_up_held();
}

void delivery::take_up_held() {
  const auto keys = std::exchange(far_.held_keys, {});
  auto held = std::exchange(far_.held, {});
  const bool is_same = std::ranges::equal(
      keys, batch_, [](const std::string& key, const sink_item& item) { return key == item.key; });
  if (!is_same) return;
  items_ = std::move(held);
  for (item_state& each : items_) each.unclear.reset();
}

task<write_result> delivery::run() {
  remembered memory(far_, batch_, items_);
  if (loop::current().now() < far_.not_before) throw sink_down(far_.rest_reason);
  if (far_.in_doubt || far_.opinion.is_outage()) co_await send_scout();
  if (!stopped()) co_await send_all();
  write_result result = finish();
  memory.is_finished = true;
  co_return result;
}

indices delivery::waiting() const {
  indices result;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (items_[i].now == kind::waiting) result.push_back(i);
  }
  return result;
}

bool delivery::stopped() const { return !down_.empty() || far_.opinion.is_outage(); }

addressed delivery::how_addressed() const {
  return far_.settings.url.has_fields() ? addressed::by_item : addressed::fixed;
}

// Each time another one, for this one may be what the far side cannot bear.
task<> delivery::send_scout() {
  const indices left = waiting();
  if (left.empty()) co_return;
  indices one(1, left[far_.scout++ % left.size()]);
  const std::size_t scout = one.front();
  co_await send_together(std::move(one));
  item_state& sent = items_[scout];
  if (has_worked_ || !sent.unclear || far_.opinion.blames(batch_[scout].key)) co_return;
  if (far_.opinion.takes_turns(loop::current().now())) {
    sent.now = kind::failed;
    sent.why = std::exchange(sent.unclear, std::nullopt);
  } else {
    down_ = sent.unclear->error;
  }
}

task<> delivery::send_all() {
  if (far_.format != body_format::json) {
    indices all = waiting();
    if (!all.empty()) co_await send_together(std::move(all));
    co_return;
  }
  const std::size_t at_once = std::min(far_.in_flight, batch_.size());
  if (at_once <= 1) {
    co_await send_one_by_one();
    co_return;
  }
  const auto spread = [this, at_once](task_group& group) {
    for (std::size_t i = 0; i < at_once; ++i) {
      group.spawn_named("HTTP request", [this] { return send_one_by_one(); });
    }
  };
  co_await with_group(spread);
}

task<> delivery::send_one_by_one() {
  while (!stopped()) {
    while (next_ < items_.size() && (items_[next_].now != kind::waiting || items_[next_].unclear)) {
      ++next_;
    }
    if (next_ >= items_.size()) co_return;
    indices one(1, next_++);
    co_await send_together(std::move(one));
  }
}

task<> delivery::send_together(indices these) {
  const bool divide = co_await attempt(these);
  if (!divide) co_return;
  const auto middle = these.begin() + static_cast<std::ptrdiff_t>(these.size() / 2);
  indices first(these.begin(), middle);
  indices second(middle, these.end());
  co_await send_together(std::move(first));
  if (!stopped()) co_await send_together(std::move(second));
}

task<bool> delivery::attempt(indices& these) {
  for (const std::size_t each : these) items_[each].unclear.reset();
  const std::string body = body_of(these);
  if (these.empty()) co_return false;
  const auto target = target_for(these.front());
  if (!target) co_return false;
  const request asking = make_request(far_.settings, *target, key_for(these), body);
  try {
    const answer got = co_await far_.to->send(far_.settings.url.where(), asking);
    co_return understand(got, these);
  } catch (const unreachable& none) {
    be_away(none.what());
    co_return false;
  } catch (const broken& torn) {
    const failure why(verdict::retryable, torn.what());
    co_return all_unclear(why, these);
  }
}

// Takes out those that cannot be written down.
std::string delivery::body_of(indices& these) {
  body_writer body(far_.format);
  std::erase_if(these, [&](std::size_t each) {
    try {
      body.add(batch_[each].value->get<record>());
      return false;
    } catch (const permanent_error& why) {
      failed(each, failure(verdict::permanent, why.what()));
      return true;
    }
  });
  return std::move(body).finished();
}

std::optional<std::string> delivery::target_for(std::size_t item) {
  const url_template& url = far_.settings.url;
  if (!url.has_fields()) return url.target({});
  try {
    return url.target(batch_[item].value->get<record>().json_text());
  } catch (const permanent_error& why) {
    failed(item, failure(verdict::permanent, why.what()));
    return std::nullopt;
  }
}

std::string delivery::key_for(const indices& these) const {
  if (far_.settings.key_header.empty()) return {};
  if (these.size() == 1) return std::string(batch_[these.front()].key);
  std::vector<std::string_view> keys;
  keys.reserve(these.size());
  for (const std::size_t each : these) keys.push_back(batch_[each].key);
  return key_of_all(keys);
}

bool delivery::understand(const answer& got, const indices& these) {
  const std::string text = told(far_.settings.url.where().shown(), got, far_.settings.secrets);
  switch (meaning_of(got.status, how_addressed())) {
    case meaning::done: {
      if (got.is_cut && far_.format != body_format::json) {  // it may say that some were refused
        const std::string lacking = " with more than 'max_response' holds";
        return all_unclear(failure(verdict::retryable, text + lacking), these);
      }
      const auto statuses = read_statuses(got.body, these.size());
      if (statuses) {
        take_statuses(got, *statuses, these);
      } else if (got.status == 207) {
        const std::string lacking = " (no JSON array with a status for each item)";
        return all_unclear(failure(verdict::retryable, text + lacking), these);
      } else {
        for (const std::size_t each : these) delivered(each);
        works();
      }
      return false;
    }
    case meaning::refused:
      if (these.size() > 1) return true;
      failed(these.front(), failure(verdict::permanent, text));
      works();
      return false;
    case meaning::throttled:
      rest(got.retry_after.value_or(rest_usual), text);
      be_away(text);
      return false;
    case meaning::unclear:
      if (got.retry_after) rest(*got.retry_after, text);
      return all_unclear(failure(verdict::retryable, text, got.retry_after), these);
  }
  return false;
}

void delivery::take_statuses(const answer& got, const std::vector<item_status>& all,
                             const indices& these) {
  bool any_definite = false;
  for (std::size_t i = 0; i < these.size(); ++i) {
    answer one{.status = all[i].status, .body = all[i].error};
    const meaning what = meaning_of(one.status, how_addressed());
    any_definite = any_definite || what == meaning::done || what == meaning::refused;
    if (what == meaning::done) {
      delivered(these[i]);
      continue;
    }
    const std::string text =
        told(far_.settings.url.where().shown(), one, far_.settings.secrets) + " for this item";
    if (what == meaning::refused) failed(these[i], failure(verdict::permanent, text));
    if (what == meaning::throttled) {
      rest(got.retry_after.value_or(rest_usual), text);
      be_away(text);
    }
    if (what == meaning::unclear) {
      unclear(these[i], failure(verdict::retryable, text, got.retry_after));
    }
  }
  if (any_definite) works();
}

// Of several, it cannot be told which: with a far side that works, one of them must be to blame.
bool delivery::all_unclear(const failure& why, const indices& these) {
  if (these.size() == 1) {
    unclear(these.front(), why);
    return false;
  }
  if (has_worked_ && down_.empty()) return true;
  down_ = why.error;
  return false;
}

void delivery::delivered(std::size_t item) {
  items_[item].now = kind::delivered;
  items_[item].unclear.reset();
  far_.opinion.settled(batch_[item].key);
}

void delivery::failed(std::size_t item, failure why) {
  items_[item].now = kind::failed;
  items_[item].why = std::move(why);
  far_.opinion.settled(batch_[item].key);
}

void delivery::unclear(std::size_t item, failure why) {
  items_[item].unclear = std::move(why);
  far_.opinion.failed(batch_[item].key, loop::current().now());
}

void delivery::be_away(const std::string& why) {
  down_ = why;
  is_away_ = true;
}

void delivery::rest(milliseconds time, const std::string& why) {
  far_.rest_reason = why;
  far_.not_before = loop::current().now() + time;
}

void delivery::works() {
  has_worked_ = true;
  far_.in_doubt = false;
  far_.opinion.works(loop::current().now());
}

write_result delivery::finish() {
  judge& opinion = far_.opinion;
  const bool takes_turns = !is_away_ && opinion.takes_turns(loop::current().now());
  std::string held = down_;
  bool any_waits = false;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    item_state& item = items_[i];
    if (item.now != kind::waiting) continue;
    if (item.unclear && (takes_turns || opinion.blames(batch_[i].key))) {
      item.now = kind::failed;
      item.why = std::move(item.unclear);
      continue;
    }
    any_waits = true;
    if (held.empty() && item.unclear) held = item.unclear->error;
  }
  if (any_waits) {
    far_.in_doubt = !has_worked_;
    throw sink_down(held);
  }
  far_.in_doubt = false;
  write_result result;
  result.failures.resize(items_.size());
  for (std::size_t i = 0; i < items_.size(); ++i) result.failures[i] = std::move(items_[i].why);
  return result;
}

}  // namespace brigade::http
