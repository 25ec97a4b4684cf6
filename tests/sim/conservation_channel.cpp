#include "sim/conservation_channel.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/select.hpp>
#include <brigade/async/timeout.hpp>

namespace brigade::sim {

namespace {

using in_line = waiting_line::entry;

queue_terms some_terms(world& all) {
  queue_terms terms;
  terms.name = "channel";
  terms.items_max = static_cast<std::size_t>(all.chance(8) ? 1000 : all.between(1, 4));
  if (all.chance(4)) terms.weight_max = static_cast<std::size_t>(all.between(4, 12));
  if (all.chance(4)) terms.when_full = static_cast<overflow>(all.between(1, 3));
  return terms;
}

}  // namespace

channel_life::channel_life(std::uint64_t seed)
    : seed_(seed),
      all_(seed),
      loop_(seed + 1),
      dies_after_(all_.chance(8) ? 1 + all_.random.below(200) : 0),
      items_each_(all_.between(1, 20)),
      sender_count_(all_.between(1, 4)),
      receiver_count_(all_.between(1, 3)),
      senders_waiting_(all_.judge, "those who send"),
      receivers_waiting_(all_.judge, "those who receive"),
      model_(all_.judge, all_.book, senders_waiting_, some_terms(all_)) {
  all_.makers_hurry = all_.chance(3);
  all_.takers_dawdle = all_.chance(3);
}

std::string channel_life::in_words() const {
  std::string text = "seed " + std::to_string(seed_) + ": a channel, " + model_.terms().in_words() +
                     "; " + std::to_string(sender_count_) + " who send " +
                     std::to_string(items_each_) + " items each and " +
                     std::to_string(receiver_count_) + " who receive";
  if (dies_after_ != 0) text += "; killed after " + std::to_string(dies_after_) + " steps";
  return text;
}

std::string channel_life::run() {
  all_.play(loop_, dies_after_, play(), [this] { check_step(); });
  check_end();
  return all_.judge.first_problem();
}

task<> channel_life::play() {
  auto everybody = [this](task_group& group) { populate(group); };
  co_await with_group(everybody);
}

void channel_life::populate(task_group& group) {
  const auto [to, from] = channel<parcel>(options_for(model_.terms()));
  for (int n = 0; n < sender_count_; ++n) {
    auto end = std::make_shared<sending_end>(*this, side::sending, to);
    sending_.push_back(end);
    victims_.push_back(group.spawn_named("sender " + std::to_string(n),
                                         [this, end, n] { return send_all(end, n); }));
  }
  for (int n = 0; n < receiver_count_; ++n) {
    auto end = std::make_shared<receiving_end>(*this, side::receiving, from);
    receiving_.push_back(end);
    victims_.push_back(group.spawn_named("receiver " + std::to_string(n),
                                         [this, end] { return receive_all(end); }));
  }
  group.spawn_named("trouble", [this] { return make_trouble(); });
}

// --- those who send ---

task<> channel_life::send_all(std::shared_ptr<sending_end> by, int producer) {
  for (int number = 0; number < items_each_; ++number) {
    co_await all_.before_a_put();
    if (!by->open()) break;
    parcel item = all_.new_item(producer, number);
    auto sending = send_somehow(*by, item);
    try {
      if (all_.chance(3)) {
        co_await all_.in_time(std::move(sending));
      } else {
        co_await std::move(sending);
      }
    } catch (const channel_broken& broken) {
      all_.judge.require(receivers_ == 0, "a channel that is received from is broken");
      const std::uint64_t lost = all_.book.count(fate::destroyed);
      const std::string text = broken.what();
      all_.judge.require(lost == 0 || text.find(": " + std::to_string(lost)) != std::string::npos,
                         "the error does not count what will never be received");
      saw(feature::send_failed);
      break;
    }
  }
}

task<> channel_life::send_somehow(sending_end& by, parcel& item) {
  const std::size_t weight = item->weight;
  try {
    switch (all_.random.below(4)) {
      case 0:
        co_await send(by, item);
        break;
      case 1:
        co_await send_from(by, item);
        break;
      case 2:
        co_await select_send(by, item);
        break;
      default:
        try_send(by, item);
    }
  } catch (const queue_full&) {
    detail::channel_state<parcel>* known = state();
    all_.judge.require(known != nullptr, "a channel without an end refused an item");
    if (known != nullptr) model_.refused(weight, known->items.core());
  }
}

task<> channel_life::send(sending_end& by, parcel& item) {
  item_record& what = *item;
  auto sending = by.end->send(std::move(item));
  const handle_note counted(*this, side::sending);
  in_line line(senders_waiting_, sending, what);
  co_await sending;
  line.served();
  saw_if(line.has_waited(), feature::put_waited);
  if (!line.told()) sent(what);
}

task<> channel_life::send_from(sending_end& by, parcel& item) {
  item_record& what = *item;
  auto sending = by.end->send_from(item);
  const handle_note counted(*this, side::sending);
  in_line line(senders_waiting_, sending, what.weight);
  try {
    co_await sending;
  } catch (...) {
    all_.judge.require(static_cast<bool>(item), "send_from failed and kept the item");
    throw;
  }
  line.served();
  sent(what);
}

task<> channel_life::select_send(sending_end& by, parcel& item) {
  item_record& what = *item;
  auto sending = by.end->send_from(item);
  auto ringing = all_.bell.wait();
  const handle_note counted(*this, side::sending);
  in_line line(senders_waiting_, sending, what.weight);
  auto which = co_await select(sending, ringing);
  if (which.index() == 1) {
    all_.judge.require(static_cast<bool>(item), "a send that did not win a select has sent");
    saw(feature::select_got_an_event);
    co_return;
  }
  line.served();
  saw(feature::select_put);
  sent(what);
}

void channel_life::try_send(sending_end& by, parcel& item) {
  item_record& what = *item;
  if (by.end->try_send(item)) {
    senders_waiting_.nobody_is_overtaken();
    sent(what);
  } else {
    all_.judge.require(static_cast<bool>(item), "try_send refused an item and kept it");
    if (model_.terms().when_full == overflow::refuse) {
      model_.refused(what.weight, by.end->state().items.core());
    }
  }
}

void channel_life::sent(item_record& item) {
  detail::channel_state<parcel>* known = state();
  if (known != nullptr) {
    model_.put(item, known->items.core());
  } else {
    model_.put_unseen(item);
  }
}

// --- those who receive ---

task<> channel_life::receive_all(std::shared_ptr<receiving_end> by) {
  for (bool ended = false; !ended;) {
    co_await all_.at_work();
    if (!by->open()) break;
    auto receiving = receive_somehow(*by, ended);
    if (all_.chance(3)) {
      co_await all_.in_time(std::move(receiving));
    } else {
      co_await std::move(receiving);
    }
    if (by->open() && all_.chance(60)) give_up(*by);
  }
}

task<> channel_life::receive_somehow(receiving_end& by, bool& ended) {
  const auto how = all_.random.below(4);
  if (how == 0) {
    const std::optional<parcel> got = by.end->try_receive();
    if (got) {
      receivers_waiting_.nobody_is_overtaken();
      received(got, ended);
    }
  } else if (how == 1) {
    co_await select_receive(by, ended);
  } else {
    co_await receive(by, ended);
  }
}

task<> channel_life::receive(receiving_end& by, bool& ended) {
  auto receiving = by.end->receive();
  const handle_note counted(*this, side::receiving);
  in_line line(receivers_waiting_, receiving);
  const std::optional<parcel> got = co_await receiving;
  if (got) line.served();
  received(got, ended);
}

task<> channel_life::select_receive(receiving_end& by, bool& ended) {
  auto receiving = by.end->receive();
  auto ringing = all_.bell.wait();
  auto sleeping = sleep_for(all_.short_time());
  const handle_note counted(*this, side::receiving);
  in_line line(receivers_waiting_, receiving);
  auto which = co_await select(receiving, ringing, sleeping);
  if (which.index() != 0) co_return;
  const std::optional<parcel>& got = which.get<0>();
  if (got) line.served();
  received(got, ended);
}

void channel_life::received(const std::optional<parcel>& got, bool& ended) {
  if (got) {
    item_record& item = **got;
    model_.taken(item);
    model_.settled(item, fate::done);
    saw(feature::received);
  } else {
    model_.check_closed_and_empty();
    ended = true;
  }
}

// --- those who spoil it ---

task<> channel_life::make_trouble() {
  for (int times = all_.up_to(30); times > 0; --times) {
    co_await all_.pause();
    do_harm();
  }
}

void channel_life::do_harm() {
  const auto what = all_.random.below(16);
  if (what < 4) {
    task_handle<> victim = victims_[static_cast<std::size_t>(all_.random.below(victims_.size()))];
    all_.judge.tell([&] { return "cancel " + victim.name(); });
    victim.cancel("bad luck");
  } else if (what < 6) {
    all_.bell.set();
  } else if (what < 8) {
    all_.bell.clear();
  } else if (what == 8 && model_.terms().when_full == overflow::wait) {
    const auto end = sending_[static_cast<std::size_t>(all_.random.below(sending_.size()))].lock();
    if (end != nullptr) give_up(*end);
  } else if (what == 9 && all_.chance(3)) {
    const auto at = static_cast<std::size_t>(all_.random.below(receiving_.size()));
    const auto end = receiving_[at].lock();
    if (end != nullptr) give_up(*end);
  }
}

void channel_life::give_up(sending_end& one) {
  if (!one.open()) return;
  one.note.end();
  one.end->close();
  one.end.reset();
}

void channel_life::give_up(receiving_end& one) {
  if (!one.open()) return;
  if (all_.chance(2)) {
    if (receivers_ == 1) {
      const bool had_items = !model_.waiting().empty();
      const std::vector<parcel> left = one.end->close();
      model_.aborted(left);
      saw_if(had_items, feature::receiver_returned_items);
    } else {
      const std::vector<parcel> left = one.end->close();
      all_.judge.require(left.empty(), "a receiver that is not the last gave items back");
    }
  }
  one.note.end();
  one.end.reset();
}

void channel_life::count(side which, int change) {
  int& handles = which == side::sending ? senders_ : receivers_;
  handles += change;
  if (handles != 0) return;
  all_.judge.tell([&] {
    return std::string("the last ") + (which == side::sending ? "sender" : "receiver") + " goes";
  });
  if (!model_.closed()) model_.close();
  if (which == side::receiving) model_.let_items_go();
  saw(which == side::sending ? feature::last_sender_gone : feature::last_receiver_gone);
}

// --- what must be ---

// Any handle will do to look at the channel; null when only those who wait have one.
detail::channel_state<parcel>* channel_life::state() const {
  for (const auto& each : sending_) {
    const auto end = each.lock();
    if (end != nullptr && end->open()) return &end->end->state();
  }
  for (const auto& each : receiving_) {
    const auto end = each.lock();
    if (end != nullptr && end->open()) return &end->end->state();
  }
  return nullptr;
}

void channel_life::check_step() {
  if (!all_.judge.first_problem().empty()) return;
  receivers_waiting_.check();
  senders_waiting_.check();
  all_.judge.require(receivers_ != 0 || model_.waiting().empty(),
                     "nobody can receive, and the channel keeps its items");
  detail::channel_state<parcel>* known = state();
  if (known == nullptr) return;
  model_.check(known->items.core(), receivers_waiting_);
  const channel_statistics now = known->statistics();
  const bool right = now.senders == static_cast<std::size_t>(senders_) &&
                     now.receivers == static_cast<std::size_t>(receivers_);
  all_.judge.require(right, "the channel does not know who is at its ends");
  all_.judge.require(now.destroyed == all_.book.count(fate::destroyed),
                     "the channel does not know what it destroyed");
}

void channel_life::check_end() {
  all_.judge.require(senders_ == 0 && receivers_ == 0, "an end of the channel is left");
  all_.judge.require(model_.waiting().empty(), "the channel is gone, and its items are not");
  all_.judge.require(senders_waiting_.operations() == 0, "somebody who sent is still there");
  all_.judge.require(receivers_waiting_.operations() == 0, "somebody who received is still there");
  all_.book.check_end();
}

}  // namespace brigade::sim
