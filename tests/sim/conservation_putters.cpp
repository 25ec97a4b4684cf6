#include "sim/conservation_putters.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/select.hpp>
#include <brigade/async/timeout.hpp>

namespace brigade::sim {

using in_line = waiting_line::entry;

template <class Queue>
task<> putters<Queue>::produce(subject<Queue>& home, int producer, int items) {
  for (int number = 0; number < items; ++number) {
    co_await all_.before_a_put();
    parcel item = all_.new_item(producer, number);
    bool more = true;
    try {
      more = co_await offer_one(home, std::move(item));
    } catch (const spoiled&) {
      saw(feature::ticket_failed);
    }
    if (!more) co_return;
  }
}

template <class Queue>
task<bool> putters<Queue>::offer_one(subject<Queue>& home, parcel item) {
  offer one{home, std::move(item), 0, false, {}, {}};
  for (bool again = true; again;) {
    const way how = static_cast<way>(all_.random.below(static_cast<std::uint64_t>(way::count_)));
    auto trying = attempt(how, one);
    if (all_.chance(3)) {
      co_await all_.in_time(std::move(trying));
    } else {
      co_await std::move(trying);
    }
    if (one.room) co_await use_room(one);
    co_await others_.hands().use(one.load);
    if (one.closed && home.queue.closed()) co_return false;
    again = one.item && !one.load.one && all_.chance(2);
  }
  co_return true;
}

template <class Queue>
task<> putters<Queue>::attempt(way how, offer& one) {
  one.weight = one.item->weight;
  try {
    switch (how) {
      case way::put:
        co_await put(one);
        break;
      case way::put_from:
        co_await put_from(one);
        break;
      case way::reserve:
        co_await reserve(one);
        break;
      case way::select_two:
        co_await select_two(one);
        break;
      case way::select_reserve:
        co_await select_reserve(one);
        break;
      case way::select_forward:
        co_await select_forward(one);
        break;
      default:
        try_put(one);
    }
  } catch (const queue_full& full) {
    note_refusal(one, full.what());
  } catch (const queue_closed&) {
    one.closed = true;
  } catch (const cancelled&) {
    saw(feature::put_gave_up);
    saw_if(static_cast<bool>(one.item), feature::item_stayed);
    throw;
  }
}

template <class Queue>
void putters<Queue>::note_refusal(offer& one, const std::string& text) {
  for (auto& each : all_.subjects) {
    const bool by_this = text.find("'" + each->model.terms().name + "'") != std::string::npos;
    if (by_this) each->model.refused(one.weight, each->queue.core());
  }
  saw_if(static_cast<bool>(one.item), feature::item_stayed);
}

template <class Queue>
task<> putters<Queue>::put(offer& one) {
  item_record& what = *one.item;
  auto putting = one.home.queue.put(std::move(one.item));
  in_line line(one.home.putters, putting, what);
  co_await putting;
  line.served();
  saw_if(line.has_waited(), feature::put_waited);
  if (!line.told()) one.home.model.put(what, one.home.queue.core());
}

template <class Queue>
task<> putters<Queue>::put_from(offer& one) {
  item_record& what = *one.item;
  auto putting = one.home.queue.put_from(one.item);
  in_line line(one.home.putters, putting, what.weight);
  try {
    co_await putting;
  } catch (...) {
    all_.judge.require(static_cast<bool>(one.item), "put_from failed and kept the item");
    throw;
  }
  line.served();
  all_.judge.require(!one.item, "put_from has put an item and left it");
  one.home.model.put(what, one.home.queue.core());
}

template <class Queue>
void putters<Queue>::try_put(offer& one) {
  item_record& what = *one.item;
  if (one.home.queue.try_put(one.item)) {
    one.home.putters.nobody_is_overtaken();
    all_.judge.require(!one.item, "try_put has put an item and left it");
    one.home.model.put(what, one.home.queue.core());
    return;
  }
  all_.judge.require(static_cast<bool>(one.item), "try_put refused an item and kept it");
  if (one.home.model.terms().when_full == overflow::refuse) {
    one.home.model.refused(one.weight, one.home.queue.core());
  }
  saw(feature::try_put_refused);
}

template <class Queue>
task<> putters<Queue>::reserve(offer& one) {
  choose_weight_to_reserve(one);
  auto reserving = one.home.queue.reserve(one.weight);
  in_line line(one.home.putters, reserving, one.weight);
  slot<parcel> room = co_await reserving;
  line.served();
  one.room.emplace(one.home.model, std::move(room));
}

template <class Queue>
task<> putters<Queue>::use_room(offer& one) {
  co_await all_.pause();
  if (all_.chance(4)) {
    if (all_.chance(2)) one.room->drop();
    one.room.reset();
    saw(feature::slot_dropped);
    co_return;
  }
  item_record& what = *one.item;
  try {
    one.room->commit(one.item);
    one.home.model.put(what, one.home.queue.core());
    saw(feature::slot_committed);
  } catch (const queue_closed&) {
    all_.judge.require(static_cast<bool>(one.item), "a commit failed and kept the item");
    saw(feature::slot_closed);
    one.closed = true;
  }
  one.room.reset();
}

template <class Queue>
task<> putters<Queue>::select_two(offer& one) {
  subject<Queue>& other = all_.some_open_subject(one.home);
  if (&other == &one.home) {
    co_await select_reserve(one);
    co_return;
  }
  item_record& what = *one.item;
  auto first = one.home.queue.put_from(one.item);
  auto second = other.queue.put_from(one.item);
  auto ringing = all_.bell.wait();
  in_line first_line(one.home.putters, first, what.weight);
  in_line second_line(other.putters, second, what.weight);
  auto which = co_await select(first, second, ringing);
  saw_if(which.index() == 2, feature::select_got_an_event);
  if (which.index() == 2) {
    all_.bell.clear();
    all_.judge.require(static_cast<bool>(one.item), "a put that did not win a select has put");
    co_return;
  }
  saw(feature::select_put);
  all_.judge.require(!one.item, "a put that won a select has not put");
  const bool home = which.index() == 0;
  (home ? first_line : second_line).served();
  subject<Queue>& into = home ? one.home : other;
  into.model.put(what, into.queue.core());
}

template <class Queue>
task<> putters<Queue>::select_reserve(offer& one) {
  choose_weight_to_reserve(one);
  auto reserving = one.home.queue.reserve(one.weight);
  auto ringing = all_.bell.wait();
  auto sleeping = sleep_for(all_.short_time());
  in_line line(one.home.putters, reserving, one.weight);
  auto which = co_await select(reserving, ringing, sleeping);
  saw_if(which.index() == 1, feature::select_got_an_event);
  if (which.index() == 1) all_.bell.clear();
  if (which.index() != 0) co_return;
  line.served();
  saw(feature::select_reserved);
  one.room.emplace(one.home.model, std::move(which.template get<0>()));
}

// Either end: puts here, or takes there.
template <class Queue>
task<> putters<Queue>::select_forward(offer& one) {
  subject<Queue>& other = all_.some_open_subject(one.home);
  item_record& what = *one.item;
  auto putting = one.home.queue.put_from(one.item);
  auto taking = other.queue.take();
  in_line put_line(one.home.putters, putting, what.weight);
  in_line take_line(other.takers, taking);
  auto which = co_await select(putting, taking);
  saw(feature::select_forwarded);
  if (which.index() == 0) {
    put_line.served();
    all_.judge.require(!one.item, "a put that won a select has not put");
    one.home.model.put(what, one.home.queue.core());
    co_return;
  }
  all_.judge.require(static_cast<bool>(one.item), "a put that did not win a select has put");
  ticket<parcel>& got = which.template get<1>();
  if (got) take_line.served();
  one.load.take(other.model, std::move(got));
  one.load.why = no_item::none;
}

template class putters<queue<parcel>>;
template class putters<lifo_queue<parcel>>;
template class putters<priority_queue<parcel, by_rank>>;

}  // namespace brigade::sim
