#include "sim/simulated_stage.hpp"

#include <brigade/async/cancel.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace brigade::sim {

using namespace std::chrono_literals;

namespace {

class counted {
 public:
  explicit counted(int& count) : count_(count) { ++count_; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --count_; }

 private:
  int& count_;
};

task<> nap(std::chrono::milliseconds how_long) { co_await sleep_for(how_long); }

}  // namespace

std::string_view id_in(std::string_view text) { return text.substr(0, text.find('.')); }

int changes_in(std::string_view text) { return static_cast<int>(std::ranges::count(text, '.')); }

std::uint64_t stage_shape::nature(std::string_view id, std::uint64_t salt) const {
  std::uint64_t hash = seed + salt;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return testing::random_source(hash).next();
}

bool stage_shape::splits(std::string_view id) const {
  return splits_one_in != 0 && nature(id, 1) % splits_one_in == 0;
}
std::size_t stage_shape::children_of(std::string_view id) const { return 1 + nature(id, 2) % 3; }
bool stage_shape::filters(std::string_view id) const {
  return filters_one_in != 0 && nature(id, 3) % filters_one_in == 0;
}
bool stage_shape::refuses(std::string_view id) const {
  return refuses_one_in != 0 && nature(id, 4) % refuses_one_in == 0;
}

task<> simulated_stage::open(int workers) {
  ++log_.open;
  for (int worker = 0; worker < workers; ++worker) here_.insert(worker);
  co_return;
}

void simulated_stage::worker_begins(int worker) {
  if (!here_.insert(worker).second) log_.problem = "a worker began that was here";
}

void simulated_stage::worker_ended(int worker) {
  if (here_.erase(worker) == 0) log_.problem = "a worker ended that was not here";
}

task<> simulated_stage::close() {
  --log_.open;
  if (faults_.close_fails) throw std::runtime_error("the stage would not close");
  co_return;
}

void simulated_stage::look_at(const std::string& text, const attempt_info& info) {
  if (!log_.problem.empty()) return;
  if (id_in(text) != info.id) {
    log_.problem = "item " + std::string(info.id) + " came as '" + text + "'";
  } else if (changes_in(text) != shape_.transformed_before) {
    log_.problem = "item " + std::string(info.id) + " skipped a stage, or went twice through one";
  } else if (info.key != "sim:" + std::string(info.id)) {
    log_.problem = "item " + std::string(info.id) + " has the key " + std::string(info.key);
  } else if (busy_ >
             log_.workers_max.at(static_cast<std::size_t>(shape_.index)) * shape_.in_flight) {
    log_.problem = "more attempts at once than there are workers";
  } else if (!here_.contains(info.worker)) {
    log_.problem = "an attempt by a worker that is not here";
  }
}

attempt_result simulated_stage::run_now(payload& item, const attempt_info& info) {
  const counted now(busy_);
  look_at(item.get<std::string>(), info);
  return result_for(item.get<std::string>());
}

task<attempt_result> simulated_stage::run(payload& item, const attempt_info& info) {
  const counted now(busy_);
  const std::string text = item.get<std::string>();
  look_at(text, info);
  co_await take_time();
  if (item.get<std::string>() != text) log_.problem = "an item changed while it was worked on";
  co_return result_for(text);
}

task<std::vector<attempt_result>> simulated_stage::run_together(
    const std::vector<attempt_request>& requests) {
  const counted now(busy_);
  if (requests.size() > shape_.together) log_.problem = "more items at once than were asked for";
  for (const attempt_request& each : requests) look_at(each.item->get<std::string>(), each.info);
  co_await take_time();
  std::vector<attempt_result> results;
  for (const attempt_request& each : requests) {
    try {
      results.push_back(result_for(each.item->get<std::string>()));
    } catch (...) {
      results.push_back(failed_by(std::current_exception()));
    }
  }
  co_return results;
}

task<> simulated_stage::take_time() {
  if (chance(faults_.hangs_one_in)) {
    auto hang = nap(90s);
    if (random_.one_in(4)) {
      co_await shielded(100s, std::move(hang));
    } else {
      co_await std::move(hang);
    }
  }
  const auto most = static_cast<std::uint64_t>(faults_.delay_max.count());
  const std::uint64_t delay = random_.below(most + 2);
  if (delay == 1) co_await yield();
  if (delay > 1) {
    const std::chrono::milliseconds how_long(delay - 1);
    co_await sleep_for(how_long);
  }
}

attempt_result simulated_stage::result_for(const std::string& text) {
  if (chance(faults_.fails_one_in)) return failed_attempt();
  if (chance(faults_.kills_one_in)) {
    failure died(verdict::retryable, "handler died");
    died.killed_handler = true;
    return attempt_result::failed(std::move(died));
  }
  if (chance(faults_.fatal_one_in)) throw fatal_error("the licence has expired");
  const std::string_view id = id_in(text);
  if (shape_.refuses(id)) throw permanent_error("refused");
  if (shape_.filters(id)) return attempt_result::filtered();
  const std::string changes = text.substr(id.size()) + std::string(shape_.transforms ? 1 : 0, '.');
  if (shape_.splits(id)) {
    std::vector<payload> children;
    for (std::size_t n = 0; n < shape_.children_of(id); ++n) {
      children.emplace_back(std::string(id) + "/" + std::to_string(n) + changes);
    }
    return attempt_result::split(std::move(children));
  }
  if (!shape_.transforms) return attempt_result::unchanged();
  return attempt_result::passed(payload(std::string(id) + changes));
}

attempt_result simulated_stage::failed_attempt() {
  if (random_.one_in(2)) throw std::runtime_error("not now");
  if (random_.one_in(2)) {
    return attempt_result::failed(failure(verdict::retryable, "ask again", milliseconds(3)));
  }
  return attempt_result::failed(failure(verdict::retryable, "out of luck"));
}

}  // namespace brigade::sim
