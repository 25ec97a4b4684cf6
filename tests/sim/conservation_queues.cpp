#include "sim/conservation_queues.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/timeout.hpp>

#include <concepts>
#include <utility>

namespace brigade::sim {

namespace {

template <class Queue>
constexpr taking_order order_of() {
  if constexpr (std::same_as<Queue, queue<parcel>>) return taking_order::fifo;
  if constexpr (std::same_as<Queue, lifo_queue<parcel>>) return taking_order::lifo;
  return taking_order::priority;
}

queue_terms some_terms(world& all, taking_order order, std::size_t at) {
  queue_terms terms;
  terms.name = std::string(1, static_cast<char>('a' + at));
  terms.order = order;
  terms.items_max = static_cast<std::size_t>(all.between(1, 4));
  if (all.chance(8)) terms.items_max = queue_terms::no_bound;
  if (all.chance(3)) terms.weight_max = static_cast<std::size_t>(all.between(4, 12));
  if (all.chance(3)) terms.when_full = static_cast<overflow>(all.between(1, 3));
  terms.notes_holders = all.chance(3);
  return terms;
}

}  // namespace

template <class Queue>
queue_life<Queue>::queue_life(std::uint64_t seed)
    : seed_(seed),
      all_(seed),
      loop_(seed + 1),
      dies_after_(all_.chance(8) ? 1 + all_.random.below(400) : 0),
      items_each_(all_.chance(10) ? 100 : all_.between(1, 30)),
      putter_count_(all_.up_to(4)),
      taker_count_(all_.up_to(4)),
      joiner_count_(all_.up_to(2)),
      gives_back_(all_.chance(3)),
      takers_(all_, gives_back_),
      putters_(all_, takers_) {
  all_.makers_hurry = all_.chance(3);
  all_.takers_dawdle = all_.chance(3);
  const auto count = static_cast<std::size_t>(all_.between(1, 3));
  for (std::size_t at = 0; at < count; ++at) {
    const queue_terms terms = some_terms(all_, order_of<Queue>(), at);
    all_.subjects.push_back(std::make_unique<subject<Queue>>(all_, terms));
  }
  is_swept_.resize(count);
}

template <class Queue>
std::string queue_life<Queue>::in_words() const {
  std::string text = "seed " + std::to_string(seed_) + ":";
  for (const auto& each : all_.subjects) text += " " + each->model.terms().in_words() + ";";
  text += " " + std::to_string(putter_count_) + " who put and " + std::to_string(taker_count_) +
          " who take besides the squad, " + std::to_string(items_each_) + " items each, " +
          std::to_string(joiner_count_) + " who join";
  if (all_.makers_hurry) text += "; the makers hurry";
  if (all_.takers_dawdle) text += "; the takers dawdle";
  if (gives_back_) text += "; items are given back";
  if (dies_after_ != 0) text += "; killed after " + std::to_string(dies_after_) + " steps";
  return text;
}

template <class Queue>
std::string queue_life<Queue>::run() {
  all_.play(loop_, dies_after_, play(), [this] { check_step(); });
  check_end();
  return all_.judge.first_problem();
}

template <class Queue>
task<> queue_life<Queue>::play() {
  auto everybody = [this](task_group& group) { populate(group); };
  co_await with_group(everybody);
}

template <class Queue>
void queue_life<Queue>::populate(task_group& group) {
  outer_ = &group;
  for (int n = 0; n < putter_count_; ++n) spawn_putter(group);
  for (int n = 0; n < taker_count_; ++n) spawn_taker(group);
  for (int n = 0; n < joiner_count_; ++n) {
    victims_.push_back(group.spawn_named("joiner", [this] { return wait_for_join(); }));
  }
  group.spawn_named("squad", [this] { return squad(); });
  group.spawn_named("trouble", [this] { return make_trouble(); });
  group.spawn_named("finisher", [this] { return finish(); });
}

// A group within the group, which may be cancelled as a whole.
template <class Queue>
task<> queue_life<Queue>::squad() {
  auto members = [this](task_group& group) {
    squad_ = &group;
    spawn_putter(group);
    spawn_taker(group);
    spawn_taker(group);
    squad_ready_.set();
  };
  co_await with_group(members);
  squad_ = nullptr;
}

template <class Queue>
void queue_life<Queue>::spawn_putter(task_group& group) {
  const int producer = next_producer_++;
  subject<Queue>& home = all_.some_subject();
  makers_.push_back(group.spawn_named(
      "producer " + std::to_string(producer),
      [this, producer, &home] { return putters_.produce(home, producer, items_each_); }));
  victims_.push_back(makers_.back());
}

template <class Queue>
void queue_life<Queue>::spawn_taker(task_group& group) {
  subject<Queue>& home = all_.some_subject();
  const std::string name = "consumer " + std::to_string(consumers_.size());
  consumers_.push_back(group.spawn_named(name, [this, &home] { return takers_.consume(home); }));
  victims_.push_back(consumers_.back());
}

template <class Queue>
void queue_life<Queue>::spawn_sweeper(std::size_t at) {
  if (is_swept_[at]) return;
  is_swept_[at] = true;
  subject<Queue>& home = *all_.subjects[at];
  consumers_.push_back(
      outer_->spawn_named("sweeper", [this, &home] { return takers_.sweep(home); }));
}

template <class Queue>
task<> queue_life<Queue>::wait_for_join() {
  for (int times = all_.up_to(4); times > 0; --times) {
    co_await all_.pause();
    subject<Queue>& target = all_.some_subject();
    if (all_.chance(2)) {
      co_await join_in_time(target);
    } else {
      co_await target.queue.join();
      target.model.check_joined(true);
      saw(feature::joined);
    }
  }
}

template <class Queue>
task<> queue_life<Queue>::join_in_time(subject<Queue>& target) {
  const auto within = all_.short_time();
  const join_result told = co_await target.queue.join(within);
  target.model.check_joined(static_cast<bool>(told));
  target.model.check_holders(told);
  saw_if(static_cast<bool>(told), feature::joined_in_time);
}

// --- those who spoil it ---

template <class Queue>
task<> queue_life<Queue>::make_trouble() {
  co_await squad_ready_.wait();
  const int times = all_.up_to(50);
  for (int n = 0; n < times; ++n) {
    co_await all_.pause();
    do_harm();
  }
  for (std::size_t at = 0; at < all_.subjects.size(); ++at) spawn_sweeper(at);
  trouble_over_.set();
}

template <class Queue>
void queue_life<Queue>::do_harm() {
  const auto what = all_.random.below(28);
  subject<Queue>& target = all_.some_subject();
  if (what < 8) {
    cancel_somebody();
  } else if (what == 8 && squad_ != nullptr) {
    squad_->cancel("the whole squad");
  } else if (what < 11) {
    all_.bell.set();
  } else if (what == 11) {
    takers_.snatch(target);
  } else if (what == 12) {
    spawn_sweeper(static_cast<std::size_t>(all_.random.below(all_.subjects.size())));
  } else if (what == 13 && all_.chance(3)) {
    close(target);
  } else if (what == 14 && (target.queue.core().granted_ > 0 || all_.chance(3))) {
    abort(target);
  }
}

// Any task, but rather one that has been promised something and has not run since.
template <class Queue>
void queue_life<Queue>::cancel_somebody() {
  for (int tries = all_.up_to(3);; --tries) {
    task_handle<> victim = victims_[static_cast<std::size_t>(all_.random.below(victims_.size()))];
    const detail::waiter* wait = victim.done() ? nullptr : victim.record().waiting_on();
    const bool promised = wait != nullptr && wait->state() == detail::wait_state::granted;
    const bool gathers = wait != nullptr && wait->describe().find(", has ") != std::string::npos;
    if (!promised && !gathers && tries > 0) continue;
    saw_if(gathers, feature::linger_cut_short);
    all_.judge.tell([&] { return "cancel " + victim.name(); });
    victim.cancel("bad luck");
    return;
  }
}

template <class Queue>
void queue_life<Queue>::close(subject<Queue>& target) {
  saw_if(!target.queue.closed() && !target.queue.empty(), feature::closed_with_items);
  saw_if(target.queue.statistics().putters_waiting != 0, feature::closed_on_putters);
  target.model.close();
  target.queue.close();
}

template <class Queue>
void queue_life<Queue>::abort(subject<Queue>& target) {
  const std::vector<parcel> left = target.queue.abort();
  target.model.aborted(left);
}

template <class Queue>
task<> queue_life<Queue>::finish() {
  co_await trouble_over_.wait();
  for (std::size_t n = 0; n < makers_.size(); ++n) co_await ended(makers_[n]);
  co_await all_.pause();
  for (auto& each : all_.subjects) {
    if (all_.chance(4)) {
      abort(*each);
    } else {
      close(*each);
    }
  }
  for (std::size_t n = 0; n < consumers_.size(); ++n) co_await ended(consumers_[n]);
  for (auto& each : all_.subjects) {
    all_.judge.require(each->queue.empty() || each->model.had_items_back(),
                       "closed, and an item was left that nobody took");
    abort(*each);  // what was given back at the last moment; those who join are released
  }
}

// --- what must be ---

template <class Queue>
void queue_life<Queue>::check_step() {
  if (!all_.judge.first_problem().empty()) return;
  for (auto& each : all_.subjects) {
    each->check();
    if (each->queue.empty() || each->model.waiting().empty()) continue;
    const item_record* const next = &*each->queue.peek(0);
    all_.judge.require(next == each->model.waiting().front(), "peek shows what is not the next");
  }
}

template <class Queue>
void queue_life<Queue>::check_end() {
  check_step();
  for (auto& each : all_.subjects) {
    abort(*each);
    each->check();
    all_.judge.require(each->model.held() == 0, "a ticket outlived its task");
    all_.judge.require(each->takers.operations() == 0, "somebody who took is still there");
    all_.judge.require(each->putters.operations() == 0, "somebody who put is still there");
  }
  all_.book.check_end();
}

template class queue_life<queue<parcel>>;
template class queue_life<lifo_queue<parcel>>;
template class queue_life<priority_queue<parcel, by_rank>>;

}  // namespace brigade::sim
