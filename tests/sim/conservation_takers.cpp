#include "sim/conservation_takers.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/select.hpp>
#include <brigade/async/timeout.hpp>

#include <chrono>
#include <utility>

namespace brigade::sim {

namespace {

using in_line = waiting_line::entry;

void note_end_of_wait(const in_line& line) { saw_if(line.has_waited(), feature::take_waited); }

}  // namespace

template <class Queue>
task<> takers<Queue>::consume(subject<Queue>& home) {
  for (bool more = true; more;) {
    co_await all_.pause();
    try {
      more = co_await once(home);
    } catch (const spoiled&) {
      saw(feature::ticket_failed);
    }
  }
}

template <class Queue>
task<bool> takers<Queue>::once(subject<Queue>& home) {
  haul load;
  const way how = static_cast<way>(all_.random.below(static_cast<std::uint64_t>(way::count_)));
  auto fetching = fetch(how, home, load);
  if (all_.chance(3)) {
    co_await all_.in_time(std::move(fetching));
  } else {
    co_await std::move(fetching);
  }
  if (load.why == no_item::closed) co_return !home.queue.closed();
  co_await handlers_.use(load);
  co_return true;
}

template <class Queue>
task<> takers<Queue>::fetch(way how, subject<Queue>& from, haul& into) {
  try {
    switch (how) {
      case way::take:
      case way::take_or_end:
        co_await take(from, how == way::take ? on_cancel::raise : on_cancel::end, into);
        break;
      case way::get:
        co_await get(from, into);
        break;
      case way::batch:
      case way::lingering_batch:
        co_await take_batch(from, how == way::lingering_batch, into);
        break;
      case way::select_two:
        co_await select_two(from, into);
        break;
      case way::select_bell:
        co_await select_bell(from, into);
        break;
      case way::select_batch:
        co_await select_batch(from, into);
        break;
      case way::select_get:
        co_await select_get(from, into);
        break;
      default:
        try_now(how, from, into);
    }
  } catch (const queue_closed&) {
    into.closed(from.model);
  } catch (const cancelled&) {
    saw(feature::take_gave_up);
    throw;
  }
}

template <class Queue>
task<> takers<Queue>::take(subject<Queue>& from, on_cancel mode, haul& into) {
  auto taking = from.queue.take(mode);
  in_line line(from.takers, taking);
  ticket<parcel> got = co_await taking;
  if (got) line.served();
  note_end_of_wait(line);
  into.take(from.model, std::move(got));
}

template <class Queue>
task<> takers<Queue>::get(subject<Queue>& from, haul& into) {
  auto getting = from.queue.get();
  in_line line(from.takers, getting);
  parcel got = co_await getting;
  line.served();
  into.plain.emplace(from.queue.core(), from.model, std::move(got));
}

template <class Queue>
task<> takers<Queue>::take_batch(subject<Queue>& from, bool lingers, haul& into) {
  const auto items_max = static_cast<std::size_t>(all_.between(1, 5));
  const auto within = lingers ? all_.short_time() : std::chrono::milliseconds(0);
  const on_cancel mode = all_.chance(2) ? on_cancel::raise : on_cancel::end;
  auto taking = from.queue.take_batch(items_max, within, mode);
  in_line line(from.takers, taking, 0, true);
  const auto began = loop::current().now();
  batch<parcel> got = co_await taking;
  if (got) line.served();
  saw_if(got.size() > 0, feature::batch_taken);
  saw_if(got.size() > 0 && lingers && loop::current().now() > began, feature::batch_lingered);
  all_.judge.require(got.size() <= items_max, "a batch has more items than were asked for");
  into.take(from.model, std::move(got));
}

template <class Queue>
void takers<Queue>::try_now(way how, subject<Queue>& from, haul& into) {
  if (how == way::try_take) {
    std::optional<ticket<parcel>> got = from.queue.try_take();
    if (!got) return;
    from.takers.nobody_is_overtaken();
    into.take(from.model, std::move(*got));
  } else {
    std::optional<parcel> got = from.queue.try_get();
    if (!got) return;
    from.takers.nobody_is_overtaken();
    into.plain.emplace(from.queue.core(), from.model, std::move(*got));
  }
}

template <class Queue>
task<> takers<Queue>::select_two(subject<Queue>& from, haul& into) {
  subject<Queue>& other = all_.some_open_subject(from);
  if (&other == &from) {
    co_await select_bell(from, into);
    co_return;
  }
  auto first = from.queue.take();
  auto second = other.queue.take();
  in_line first_line(from.takers, first);
  in_line second_line(other.takers, second);
  auto which = co_await select(first, second);
  const bool home = which.index() == 0;
  ticket<parcel>& got = home ? which.template get<0>() : which.template get<1>();
  if (got) (home ? first_line : second_line).served();
  saw_if(static_cast<bool>(got), feature::select_took);
  into.take(home ? from.model : other.model, std::move(got));
  if (!home && into.why == no_item::closed) into.why = no_item::none;
}

template <class Queue>
task<> takers<Queue>::select_bell(subject<Queue>& from, haul& into) {
  auto taking = from.queue.take();
  auto ringing = all_.bell.wait();
  auto sleeping = sleep_for(all_.short_time());
  in_line line(from.takers, taking);
  auto which = co_await select(taking, ringing, sleeping);
  saw_if(which.index() == 1, feature::select_got_an_event);
  if (which.index() == 1) all_.bell.clear();
  if (which.index() != 0) co_return;
  ticket<parcel>& got = which.template get<0>();
  if (got) line.served();
  saw_if(static_cast<bool>(got), feature::select_took);
  into.take(from.model, std::move(got));
}

template <class Queue>
task<> takers<Queue>::select_batch(subject<Queue>& from, haul& into) {
  const auto items_max = static_cast<std::size_t>(all_.between(2, 5));
  auto taking = from.queue.take_batch(items_max, all_.short_time());
  auto ringing = all_.bell.wait();
  in_line line(from.takers, taking, 0, true);
  auto which = co_await select(taking, ringing);
  saw_if(which.index() == 1, feature::select_got_an_event);
  if (which.index() == 1) all_.bell.clear();
  if (which.index() != 0) co_return;
  batch<parcel>& got = which.template get<0>();
  if (got) line.served();
  saw_if(got.size() > 0, feature::batch_taken);
  into.take(from.model, std::move(got));
}

template <class Queue>
task<> takers<Queue>::select_get(subject<Queue>& from, haul& into) {
  auto getting = from.queue.get();
  auto sleeping = sleep_for(all_.short_time());
  in_line line(from.takers, getting);
  auto which = co_await select(getting, sleeping);
  if (which.index() != 0) co_return;
  line.served();
  saw(feature::select_took);
  into.plain.emplace(from.queue.core(), from.model, std::move(which.template get<0>()));
}

template <class Queue>
task<> takers<Queue>::sweep(subject<Queue>& home) {
  for (bool more = true; more;) {
    haul load;
    co_await take(home, on_cancel::raise, load);
    more = load.why != no_item::closed;
    if (all_.chance(3)) co_await all_.pause();
    if (load.one) load.one->mine.will_end_as(fate::done);
  }
}

template <class Queue>
void takers<Queue>::snatch(subject<Queue>& from) {
  haul load;
  try {
    try_now(all_.chance(2) ? way::try_take : way::try_get, from, load);
  } catch (const queue_closed&) {
    load.closed(from.model);
  }
  if (load.one) load.one->mine.will_end_as(fate::done);
}

template class takers<queue<parcel>>;
template class takers<lifo_queue<parcel>>;
template class takers<priority_queue<parcel, by_rank>>;

}  // namespace brigade::sim
