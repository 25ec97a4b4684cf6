#include "sim/conservation_shared.hpp"

#include "sim/conservation_takers.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/select.hpp>
#include <brigade/async/timeout.hpp>

#include <utility>

namespace brigade::sim {

namespace {

using in_line = waiting_line::entry;

queue_terms some_terms(world& all) {
  queue_terms terms;
  terms.name = "shared";
  terms.items_max = static_cast<std::size_t>(all.chance(8) ? 1000 : all.between(1, 4));
  return terms;
}

}  // namespace

shared_life::shared_life(std::uint64_t seed)
    : seed_(seed),
      all_(seed),
      loop_(seed + 1),
      dies_after_(all_.chance(8) ? 1 + all_.random.below(300) : 0),
      items_each_(all_.between(1, 25)),
      putter_count_(all_.between(1, 4)),
      taker_count_(all_.between(1, 4)),
      gives_back_(all_.chance(3)),
      takers_(all_.judge, "those who take"),
      putters_(all_.judge, "those who put"),
      model_(all_.judge, all_.book, putters_, some_terms(all_)),
      queue_(model_.terms().items_max, model_.terms().name) {
  all_.makers_hurry = all_.chance(3);
  all_.takers_dawdle = all_.chance(3);
}

std::string shared_life::in_words() const {
  std::string text = "seed " + std::to_string(seed_) + ": a shared queue of " +
                     std::to_string(model_.terms().items_max) + "; " +
                     std::to_string(putter_count_) + " who put " + std::to_string(items_each_) +
                     " items each and " + std::to_string(taker_count_) + " who take";
  if (gives_back_) text += "; items are given back";
  if (dies_after_ != 0) text += "; killed after " + std::to_string(dies_after_) + " steps";
  return text;
}

std::string shared_life::run() {
  all_.play(loop_, dies_after_, play(), [this] { check_step(); });
  check_end();
  return all_.judge.first_problem();
}

task<> shared_life::play() {
  auto everybody = [this](task_group& group) { populate(group); };
  co_await with_group(everybody);
}

void shared_life::populate(task_group& group) {
  group_ = &group;
  for (int n = 0; n < putter_count_; ++n) {
    const std::string name = "producer " + std::to_string(n);
    makers_.push_back(group.spawn_named(name, [this, n] { return produce(n); }));
    victims_.push_back(makers_.back());
  }
  for (int n = 0; n < taker_count_; ++n) {
    const std::string name = "consumer " + std::to_string(n);
    consumers_.push_back(group.spawn_named(name, [this] { return consume(); }));
    victims_.push_back(consumers_.back());
  }
  victims_.push_back(group.spawn_named("joiner", [this] { return wait_for_join(); }));
  group.spawn_named("trouble", [this] { return make_trouble(); });
  group.spawn_named("finisher", [this] { return finish(); });
}

void shared_life::spawn_sweeper() {
  if (std::exchange(has_sweeper_, true)) return;
  consumers_.push_back(group_->spawn_named("sweeper", [this] { return sweep(); }));
}

// --- those who put ---

task<> shared_life::produce(int producer) {
  for (int number = 0; number < items_each_; ++number) {
    co_await all_.before_a_put();
    parcel item = all_.new_item(producer, number);
    bool closed = false;
    auto putting = put_somehow(item, closed);
    if (all_.chance(3)) {
      co_await all_.in_time(std::move(putting));
    } else {
      co_await std::move(putting);
    }
    if (closed) co_return;
  }
}

task<> shared_life::put_somehow(parcel& item, bool& closed) {
  try {
    const bool at_once = all_.chance(4);
    if (at_once) {
      try_put(item);
    } else {
      co_await put(item);
    }
  } catch (const queue_closed&) {
    all_.judge.require(model_.closed(), "an open queue said that it is closed");
    closed = true;
  } catch (const cancelled&) {
    saw(feature::put_gave_up);
    throw;
  }
}

task<> shared_life::put(parcel& item) {
  item_record& what = *item;
  auto putting = queue_.put(std::move(item));
  in_line line(putters_, putting);
  co_await putting;
  line.served();
  saw_if(line.has_waited(), feature::put_waited);
  model_.put(what, queue_.statistics());
}

void shared_life::try_put(parcel& item) {
  item_record& what = *item;
  if (queue_.try_put(item)) {
    putters_.nobody_is_overtaken();
    model_.put(what, queue_.statistics());
  } else {
    all_.judge.require(static_cast<bool>(item), "try_put refused an item and kept it");
    saw(feature::try_put_refused);
  }
}

// --- those who take ---

task<> shared_life::consume() {
  for (bool more = true; more;) {
    co_await all_.pause();
    try {
      more = co_await take_once();
    } catch (const spoiled&) {
      saw(feature::ticket_failed);
    }
  }
}

task<bool> shared_life::take_once() {
  catch_of_one load;
  auto taking = take_somehow(load);
  if (all_.chance(3)) {
    co_await all_.in_time(std::move(taking));
  } else {
    co_await std::move(taking);
  }
  try {
    for (; !load.items.empty(); load.items.pop_back()) {
      co_await use(load.items.back());
    }
  } catch (const spoiled&) {
    for (held& each : load.items) each.mine.will_end_as(fate::failed);
    throw;
  }
  co_return !load.closed;
}

task<> shared_life::take_somehow(catch_of_one& into) {
  try {
    switch (all_.random.below(6)) {
      case 0:
        try_take(into);
        break;
      case 1:
        co_await take(on_cancel::end, into);
        break;
      case 2:
        co_await take_batch(into);
        break;
      case 3:
        co_await select_take(into);
        break;
      default:
        co_await take(on_cancel::raise, into);
    }
  } catch (const cancelled&) {
    saw(feature::take_gave_up);
    throw;
  }
}

task<> shared_life::take(on_cancel mode, catch_of_one& into) {
  auto taking = queue_.take(mode);
  in_line line(takers_, taking);
  shared_ticket<parcel> got = co_await taking;
  if (got) line.served();
  saw_if(line.has_waited(), feature::take_waited);
  keep(std::move(got), into);
}

task<> shared_life::take_batch(catch_of_one& into) {
  const auto items_max = static_cast<std::size_t>(all_.between(1, 5));
  auto taking = queue_.take_batch(items_max);
  in_line line(takers_, taking);
  std::vector<shared_ticket<parcel>> got = co_await taking;
  if (!got.empty()) line.served();
  all_.judge.require(got.size() <= items_max, "a batch has more items than were asked for");
  if (got.empty()) keep(shared_ticket<parcel>(shared_end::closed), into);
  for (shared_ticket<parcel>& each : got) keep(std::move(each), into);
  saw_if(!got.empty(), feature::batch_taken);
}

task<> shared_life::select_take(catch_of_one& into) {
  auto taking = queue_.take();
  auto ringing = all_.bell.wait();
  auto sleeping = sleep_for(all_.short_time());
  in_line line(takers_, taking);
  auto which = co_await select(taking, ringing, sleeping);
  if (which.index() != 0) co_return;
  shared_ticket<parcel>& got = which.get<0>();
  if (got) line.served();
  saw_if(static_cast<bool>(got), feature::select_took);
  keep(std::move(got), into);
}

void shared_life::try_take(catch_of_one& into) {
  std::optional<shared_ticket<parcel>> got = queue_.try_take();
  if (!got) return;
  takers_.nobody_is_overtaken();
  keep(std::move(*got), into);
}

void shared_life::keep(shared_ticket<parcel>&& got, catch_of_one& into) {
  if (got) {
    into.items.emplace_back(model_, std::move(got));
    return;
  }
  into.closed = got.why() == shared_end::closed;
  if (into.closed) model_.check_closed_and_empty();
  saw_if(!into.closed, feature::take_ended_by_cancel);
}

task<> shared_life::use(held& mine) {
  co_await all_.at_work();
  switch (all_.random.below(gives_back_ ? 7 : 5)) {
    case 0:
      mine.got.done();
      mine.mine.settle(fate::done);
      break;
    case 1:
      mine.got.fail();
      mine.mine.settle(fate::failed);
      break;
    case 2:
      mine.mine.will_end_as(fate::failed);
      throw spoiled("spoiled");
    case 5:
      mine.got.give_back();
      mine.mine.give_back();
      break;
    default:
      mine.mine.will_end_as(fate::done);
  }
}

task<> shared_life::sweep() {
  for (bool more = true; more;) {
    catch_of_one load;
    co_await take(on_cancel::raise, load);
    for (held& each : load.items) each.mine.will_end_as(fate::done);
    more = !load.closed;
  }
}

task<> shared_life::wait_for_join() {
  for (int times = all_.up_to(4); times > 0; --times) {
    co_await all_.pause();
    co_await queue_.join();
    model_.check_joined(true);
    saw(feature::joined);
  }
}

// --- those who spoil it ---

task<> shared_life::make_trouble() {
  for (int times = all_.up_to(40); times > 0; --times) {
    co_await all_.pause();
    do_harm();
  }
  spawn_sweeper();
  trouble_over_.set();
}

void shared_life::do_harm() {
  const auto what = all_.random.below(24);
  if (what < 8) {
    task_handle<> victim = victims_[static_cast<std::size_t>(all_.random.below(victims_.size()))];
    all_.judge.tell([&] { return "cancel " + victim.name(); });
    victim.cancel("bad luck");
  } else if (what < 11) {
    all_.bell.set();
  } else if (what < 13) {
    all_.bell.clear();
  } else if (what == 13) {
    spawn_sweeper();
  } else if (what == 14 && all_.chance(3)) {
    close();
  } else if (what == 15 && all_.chance(2)) {
    abort();
  }
}

void shared_life::close() {
  saw_if(queue_.size() != 0, feature::closed_with_items);
  saw_if(putters_.waiting() != 0, feature::closed_on_putters);
  model_.close();
  queue_.close();
}

void shared_life::abort() {
  const std::vector<parcel> left = queue_.abort();
  model_.aborted(left);
}

task<> shared_life::finish() {
  co_await trouble_over_.wait();
  for (std::size_t n = 0; n < makers_.size(); ++n) co_await ended(makers_[n]);
  co_await all_.pause();
  if (all_.chance(4)) {
    abort();
  } else {
    close();
  }
  for (std::size_t n = 0; n < consumers_.size(); ++n) co_await ended(consumers_[n]);
  all_.judge.require(queue_.size() == 0 || model_.had_items_back(),
                     "closed, and an item was left that nobody took");
  abort();  // what was given back at the last moment; those who join are released
}

// --- what must be ---

void shared_life::check_step() {
  if (!all_.judge.first_problem().empty()) return;
  takers_.check();
  putters_.check();
  const queue_statistics now = queue_.statistics();
  model_.check_numbers(now);
  all_.judge.require(now.getters_waiting == takers_.waiting(),
                     "it does not know who waits to take");
  all_.judge.require(now.putters_waiting == putters_.waiting(),
                     "it does not know who waits to put");
  all_.judge.require(takers_.waiting() == 0 || now.size == now.granted,
                     "a task waits to take while there is an item for it");
  if (model_.was_aborted()) return;
  all_.judge.require(now.granted == takers_.granted(), "items are promised to nobody");
  all_.judge.require(now.reserved == putters_.granted(), "room is promised to nobody");
}

void shared_life::check_end() {
  check_step();
  abort();
  check_step();
  all_.judge.require(model_.held() == 0, "a ticket outlived its task");
  all_.judge.require(takers_.operations() == 0, "somebody who took is still there");
  all_.judge.require(putters_.operations() == 0, "somebody who put is still there");
  all_.book.check_end();
}

}  // namespace brigade::sim
