#include "connect/exec_desk.hpp"

#include "connect/exec_protocol.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/connect/record.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace brigade::exec {

namespace {
constexpr milliseconds silence_noted{
    10'000};  // a handler that is slow to start has answered by then
}  // namespace

std::string duration_text(milliseconds duration) {
  if (duration.count() % 1000 == 0) return fmt::format("{}s", duration.count() / 1000);
  return fmt::format("{}ms", duration.count());
}

desk::desk(port& outside, int in_flight, milliseconds timeout, std::size_t answer_bytes_max)
    : port_(outside),
      timeout_(timeout),
      answer_bytes_max_(answer_bytes_max),
      seats_(static_cast<std::size_t>(in_flight)) {
  BRIGADE_ASSERT(in_flight > 0, "a desk needs room for one order");
  for (std::size_t index = seats_.size(); index > 0; --index) free_seats_.push_back(index - 1);
}

void desk::submit(order& wanted, time_point now) {
  waiting_.push_back(&wanted);
  if (handler_ == handler::none) {
    handler_ = handler::wanted;
    port_.handler_wanted();
  }
  send_waiting(now);
}

void desk::withdraw(order& unwanted) {
  if (const auto found = std::ranges::find(waiting_, &unwanted); found != waiting_.end()) {
    waiting_.erase(found);
    clear_suspicion(unwanted);
    return;
  }
  const auto taken = std::ranges::find(seats_, &unwanted, &seat::taken_by);
  if (taken == seats_.end()) return;
  clear_suspicion(unwanted);
  std::vector<seat> neighbours = take_all_out();
  std::erase_if(neighbours, [&](const seat& one) { return one.taken_by == &unwanted; });
  wait_again(neighbours);
  condemn("an attempt it worked on was cancelled: the handler is replaced", true);
}

void desk::handler_began(time_point now) {
  BRIGADE_ASSERT(out_count_ == 0, "a handler began while orders were out to another");
  handler_ = handler::running;
  answered_ = half_answer_ = silence_told_ = false;
  bytes_queued_ = bytes_written_ = 0;
  output_.clear();
  for (seat& one : seats_) one.number_before = one.number;
  send_waiting(now);
}

void desk::handler_ended(const handler_end& end) {
  const bool by_itself = handler_ == handler::running;
  condemnation_.clear();
  handler_ = handler::none;
  if (by_itself && end.never_started && !answered_) {
    cannot_start("the handler could not be started (" + end.how + ")" +
                 (end.last_words.empty() ? "" : ": " + end.last_words));
    return;
  }
  if (by_itself) blame(end);
  if (!waiting_.empty()) {
    handler_ = handler::wanted;
    port_.handler_wanted();
  }
}

void desk::blame(const handler_end& end) {
  std::vector<seat> out = take_all_out();
  const std::uint64_t bytes_read = bytes_written_ - std::min(end.bytes_unread, bytes_written_);
  if (answered_ || bytes_read > 0) {
    const auto innocent = std::ranges::partition_point(
        out, [&](const seat& one) { return one.begins_at_byte < bytes_read; });
    wait_again({innocent, out.end()});
    out.erase(innocent, out.end());
  }
  if (out.size() > 1) {
    suspect_all(out);
  } else if (out.size() == 1) {
    failure why(verdict::retryable, "handler ended (" + end.how + ") before it answered" +
                                        (end.last_words.empty() ? "" : ": " + end.last_words));
    why.killed_handler = true;
    end_hunt();
    settle(*out.front().taken_by, attempt_result::failed(std::move(why)));
  }
}

void desk::cannot_start(const std::string& why) {
  wait_again(take_all_out());
  handler_ = handler::none;
  end_hunt();
  while (!waiting_.empty()) {
    order& next = *waiting_.front();
    waiting_.pop_front();
    settle(next, attempt_result::failed(failure(verdict::fatal, why)));
  }
}

void desk::line_came(std::string_view line, time_point now) {
  if (handler_ != handler::running) return;
  half_answer_ = false;
  if (line.size() > answer_bytes_max_) return line_too_long();
  std::variant<answer, rubbish> said = decode_answer(line);
  if (const rubbish* const wrong = std::get_if<rubbish>(&said)) return broke_protocol(wrong->why);
  answer& got = std::get<answer>(said);
  seat* const asked = seat_of(got.id);
  if (asked == nullptr || got.id <= asked->number_before) {
    return broke_protocol(fmt::format("an answer with the unknown id {}", got.id));
  }
  if (asked->taken_by == nullptr || asked->number != got.id) {
    // Whose it is has been answered. Handlers are not started for ever: this one has done
    // something.
    return broke_protocol(fmt::format("a second answer for id {}", got.id), blame_on::nobody);
  }
  answered_ = true;
  order& done = *std::exchange(asked->taken_by, nullptr);
  free_seats_.push_back(static_cast<std::size_t>(asked - seats_.data()));
  --out_count_;
  if (got.error) {
    settle(done, attempt_result::failed(std::move(*got.error)));
  } else {
    settle(done, attempt_result::passed(payload(record::json(std::string(got.value)))));
  }
  send_waiting(now);
}

void desk::part_came(std::string_view part) {
  if (handler_ != handler::running) return;
  half_answer_ = !part.empty();
  if (part.size() > answer_bytes_max_) line_too_long();
}

void desk::line_too_long() {
  broke_protocol(
      fmt::format("an answer longer than {} bytes, which is max_line; answer where the "
                  "result is, rather than all of it",
                  answer_bytes_max_));
}

std::string desk::take_output(std::string spare) {
  spare.clear();
  return std::exchange(output_, std::move(spare));
}

std::optional<desk::time_point> desk::next_deadline() const {
  const std::optional<time_point> oldest = oldest_out();
  if (!oldest) return std::nullopt;
  std::optional<time_point> next;
  if (timeout_.count() != 0) next = *oldest + timeout_;
  const time_point worth_a_word = *oldest + silence_noted;
  const bool may_say_so = !answered_ && !silence_told_;
  if (may_say_so && (!next || worth_a_word < *next)) next = worth_a_word;
  return next;
}

std::optional<desk::time_point> desk::oldest_out() const {
  if (out_count_ == 0) return std::nullopt;
  time_point oldest = time_point::max();
  for (const seat& one : seats_) {
    if (one.taken_by != nullptr) oldest = std::min(oldest, one.sent_at);
  }
  return oldest;
}

std::string desk::hint_at_silence() const {
  if (half_answer_) return "it has printed a part of an answer: end each answer with a newline";
  if (answered_) return {};
  return "the handler has answered nothing so far: its stdout may be buffered, flush it after each "
         "answer";
}

void desk::time_passed(time_point now) {
  const std::optional<time_point> oldest = oldest_out();
  if (!oldest) return;
  if (timeout_.count() == 0 || now < *oldest + timeout_) {
    if (answered_ || silence_told_ || now < *oldest + silence_noted) return;
    silence_told_ = true;
    port_.silent("no answer for " + duration_text(silence_noted) + "; " + hint_at_silence());
    return;
  }
  std::vector<seat> out = take_all_out();
  order& late = *out.front().taken_by;
  out.erase(out.begin());
  std::string why = "timed out: no answer within " + duration_text(timeout_);
  if (const std::string hint = hint_at_silence(); !hint.empty()) why += "; " + hint;
  wait_again(out);
  condemn(why + ": the handler is replaced", false);
  failure late_answer(verdict::retryable, why);
  late_answer.timed_out = true;
  settle(late, attempt_result::failed(std::move(late_answer)));
}

std::string_view desk::only_item() const {
  if (out_count_ != 1) return {};
  for (const seat& one : seats_) {
    if (one.taken_by != nullptr) return one.taken_by->id;
  }
  return {};
}

void desk::send_waiting(time_point now) {
  while (handler_ == handler::running && !waiting_.empty()) {
    const std::size_t room = suspects_ > 0 ? 1 : seats_.size();
    if (out_count_ >= room) return;
    order& next = *waiting_.front();
    waiting_.pop_front();
    send(next, now);
  }
}

void desk::send(order& next, time_point now) {
  const std::size_t index = free_seats_.back();
  free_seats_.pop_back();
  seat& place = seats_[index];
  // A seat's numbers are its index plus multiples of the number of seats: found again at once.
  place.number = place.number == 0 ? index + 1 : place.number + seats_.size();
  place.taken_by = &next;
  place.begins_at_byte = bytes_queued_;
  place.sent_at = now;
  const std::size_t before = output_.size();
  append_request(output_, place.number, next.key, next.attempt, next.item);
  bytes_queued_ += output_.size() - before;
  if (out_count_++ == 0) port_.order_out();
  if (before == 0) port_.output_ready();
}

void desk::settle(order& done, attempt_result result) {
  clear_suspicion(done);
  done.result.emplace(std::move(result));
  done.settled();
}

void desk::clear_suspicion(order& cleared) {
  if (std::exchange(cleared.suspect_, false)) --suspects_;
}

desk::seat* desk::seat_of(std::uint64_t number) {
  if (number == 0) return nullptr;
  seat& place = seats_[(number - 1) % seats_.size()];
  return number <= place.number ? &place : nullptr;
}

std::vector<desk::seat> desk::take_all_out() {
  std::vector<seat> out;
  for (seat& one : seats_) {
    if (one.taken_by == nullptr) continue;
    out.push_back(one);
    one.taken_by = nullptr;
    free_seats_.push_back(static_cast<std::size_t>(&one - seats_.data()));
  }
  out_count_ = 0;
  std::ranges::sort(out, {}, &seat::begins_at_byte);
  return out;
}

void desk::wait_again(const std::vector<seat>& orders) {
  for (auto one = orders.rbegin(); one != orders.rend(); ++one) {
    waiting_.push_front(one->taken_by);
  }
}

void desk::condemn(std::string why, bool gently) {
  handler_ = handler::condemned;
  condemnation_ = std::move(why);
  gently_ = gently;
  output_.clear();
  port_.condemned();
}

void desk::broke_protocol(const std::string& why, blame_on whom) {
  const std::string text = "the handler broke the protocol and is replaced: " + why;
  const std::vector<seat> out = take_all_out();
  condemn(text, false);
  if (whom == blame_on::nobody) {
    wait_again(out);
  } else if (out.size() > 1) {
    suspect_all(out);
  } else if (out.size() == 1) {
    end_hunt();
    settle(*out.front().taken_by, attempt_result::failed(failure(verdict::retryable, text)));
  }
}

void desk::suspect_all(const std::vector<seat>& orders) {
  wait_again(orders);
  for (const seat& one : orders) {
    if (!std::exchange(one.taken_by->suspect_, true)) ++suspects_;
  }
}

void desk::end_hunt() {
  for (order* const one : waiting_) clear_suspicion(*one);
}

}  // namespace brigade::exec
