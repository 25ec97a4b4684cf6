#include "sim/queue_scenario.hpp"

#include "sim/pause.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace brigade::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t steps_max = 20'000;

struct spoiled : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::size_t some_capacity(testing::random_source& random) {
  return random.one_in(8) ? 1000 : static_cast<std::size_t>(1 + random.below(4));
}

}  // namespace

/// The model's view of one ticket: settled with it, in the same step.
class queue_scenario::claim {
 public:
  claim(queue_scenario& of, const label& what) : of_(of), what_(what) {
    of.note_taken_up(what);
    const bool oldest = !of.waiting_.empty() && of.waiting_.front() == what;
    of.require(oldest, "an item was taken that is not the oldest one");
    if (oldest) of.waiting_.pop_front();
    ++of.held_;
  }
  claim(const claim&) = delete;
  claim& operator=(const claim&) = delete;
  ~claim() {
    if (open_) settle(ends_as_);
  }
  /// How it ends when nobody says otherwise; `abandoned` at first.
  void will_end_as(std::uint64_t ends::* how) { ends_as_ = how; }
  void settle(std::uint64_t ends::* how) {
    open_ = false;
    --of_.held_;
    ++(of_.ends_.*how);
  }
  void give_back() {
    open_ = false;
    --of_.held_;
    ++of_.given_back_;
    of_.waiting_.push_front(what_);
  }

 private:
  queue_scenario& of_;
  label what_;
  std::uint64_t ends::* ends_as_ = &ends::abandoned;
  bool open_ = true;
};

/// The model's view of one put under way. A taker may have the item before the task that puts it
/// runs again.
class queue_scenario::offer {
 public:
  offer(queue_scenario& of, const label& what) : of_(of), what_(what) {
    of_.offers_.push_back(what);
  }
  offer(const offer&) = delete;
  offer& operator=(const offer&) = delete;
  ~offer() { withdraw(); }
  void succeeded() {
    if (withdraw()) of_.was_put(what_);
  }

 private:
  bool withdraw() { return std::erase(of_.offers_, what_) != 0; }
  queue_scenario& of_;
  label what_;
};

queue_scenario::queue_scenario(std::uint64_t seed)
    : random_(seed),
      loop_(seed + 1),
      gives_back_(random_.one_in(3)),
      crashes_(random_.one_in(8)),
      items_each_(random_.one_in(40) ? 200 : static_cast<int>(1 + random_.below(32))),
      jobs_(some_capacity(random_), "jobs") {}

std::string queue_scenario::run() {
  loop_.before_each_step([this] { check_step(); });
  loop_.kill_after(crashes_ ? 1 + random_.below(400) : steps_max);
  try {
    loop_.run(play());
  } catch (const cancelled&) {
    if (!crashes_) problem("it did not end in " + std::to_string(steps_max) + " steps");
  } catch (const deadlock& stuck) {
    problem(stuck.what());
  } catch (const std::exception& error) {
    problem(std::string("a task failed: ") + error.what());
  }
  check_end();
  return problem_;
}

task<> queue_scenario::play() {
  auto everybody = [this](task_group& group) {
    outer_ = &group;
    spawn_producers(group, up_to(3));
    spawn_consumers(group, up_to(4));
    group.spawn_named("squad", [this] { return squad(); });
    for (int n = up_to(2); n > 0; --n) {
      victims_.push_back(group.spawn_named("joiner", [this] { return wait_for_join(); }));
    }
    group.spawn_named("trouble", [this] { return make_trouble(); });
    group.spawn_named("finisher", [this] { return finish(); });
  };
  co_await with_group(everybody);
}

// A group within the group, which may be cancelled as a whole.
task<> queue_scenario::squad() {
  auto members = [this](task_group& group) {
    squad_ = &group;
    spawn_producers(group, 1 + up_to(1));
    spawn_consumers(group, 1 + up_to(1));
    squad_ready_.set();
  };
  co_await with_group(members);
  squad_ = nullptr;
}

void queue_scenario::spawn_producers(task_group& group, int count) {
  for (; count > 0; --count) {
    const int producer = next_producer_++;
    producers_.push_back(group.spawn_named("producer " + std::to_string(producer),
                                           [this, producer] { return produce(producer); }));
    victims_.push_back(producers_.back());
  }
}

void queue_scenario::spawn_consumers(task_group& group, int count) {
  for (; count > 0; --count) {
    consumers_.push_back(group.spawn_named("consumer", [this] { return consume(); }));
    victims_.push_back(consumers_.back());
  }
}

// --- those who put ---

task<> queue_scenario::produce(int producer) {
  const bool hasty = items_each_ > 100;  // never waits by itself: lives on its turn budget
  for (int number = 0; number < items_each_; ++number) {
    if (!hasty) co_await pause(random_);
    const bool more = co_await put_somehow(label{producer, number});
    if (!more) co_return;
  }
}

task<bool> queue_scenario::put_somehow(label what) {
  bool accepted = true;
  try {
    const auto way = random_.below(4);
    if (way == 0) {
      parcel one = std::make_unique<label>(what);
      if (jobs_.try_put(one)) {
        was_put(what);
        co_return true;
      }
      require(one != nullptr, "try_put refused an item and kept it");
    }
    if (way == 1) {
      accepted = co_await put_in_time(what);
    } else {
      co_await put_one(what);
    }
  } catch (const queue_closed&) {
    require(closed_, "a queue that is open refused an item as if it were closed");
    accepted = false;
  }
  co_return accepted;
}

task<bool> queue_scenario::put_in_time(label what) {
  for (;;) {
    try {
      auto body = put_one(what);
      co_await timeout(short_time(random_), std::move(body));
      co_return true;
    } catch (const timed_out&) {
    }
    if (chance(4)) co_return true;  // it keeps this one to itself
  }
}

task<> queue_scenario::put_one(label what) {
  offer mine(*this, what);
  parcel one = std::make_unique<label>(what);
  if (chance(3)) {
    co_await jobs_.put_from(one);
  } else {
    co_await jobs_.put(std::move(one));
  }
  mine.succeeded();
}

bool queue_scenario::note_taken_up(const label& what) {
  if (std::erase(offers_, what) == 0) return false;
  ++taken_up_;
  was_put(what);
  return true;
}

// Those that were taken up, and whose takers have not gone on yet, are the last in the queue.
void queue_scenario::note_taken_up() {
  while (jobs_.size() > waiting_.size()) {
    if (!note_taken_up(*jobs_.peek(waiting_.size()))) return;
  }
}

void queue_scenario::was_put(const label& what) {
  require(!closed_, "a closed queue took an item");
  ++put_;
  waiting_.push_back(what);
}

// --- those who take ---

task<> queue_scenario::consume() {
  int lives = 2;
  for (;;) {
    co_await pause(random_);
    auto got = co_await take_somehow();
    if (got) {
      co_await use_or_fail(std::move(got));
    } else if (got.why() == ticket<parcel>::end::closed) {
      saw_the_end();
      co_return;
    } else if (--lives == 0) {
      co_return;
    }
  }
}

task<ticket<queue_scenario::parcel>> queue_scenario::take_somehow() {
  const auto way = random_.below(5);
  if (way == 0) {
    auto now = jobs_.try_take();
    if (now) co_return std::move(*now);
  }
  while (way == 1 || way == 2) {
    try {
      auto body = take_one(on_cancel::raise);
      auto got = co_await timeout(short_time(random_), std::move(body));
      co_return std::move(got);
    } catch (const timed_out&) {
    }
  }
  auto got = co_await take_one(way == 3 ? on_cancel::end : on_cancel::raise);
  co_return std::move(got);
}

task<ticket<queue_scenario::parcel>> queue_scenario::take_one(on_cancel mode) {
  auto got = co_await jobs_.take(mode);
  co_return std::move(got);
}

task<> queue_scenario::use_or_fail(ticket<parcel> got) {
  try {
    co_await use(std::move(got));
  } catch (const spoiled&) {
  }
}

task<> queue_scenario::use(ticket<parcel> got) {
  claim mine(*this, **got);
  co_await pause(random_);
  switch (random_.below(gives_back_ ? 9 : 6)) {
    case 0:
      got.done();
      mine.settle(&ends::done);
      co_await pause(random_);
      break;
    case 1:
      got.fail();
      mine.settle(&ends::failed);
      co_await pause(random_);
      break;
    case 2:
      mine.will_end_as(&ends::failed);
      throw spoiled("spoiled");
    case 3: {
      const ticket<parcel> handed_over = std::move(got);
      co_await pause(random_);
      mine.will_end_as(&ends::done);
      break;
    }
    case 6:
      got.give_back();
      mine.give_back();
      co_await pause(random_);
      break;
    default:
      mine.will_end_as(&ends::done);
  }
}

void queue_scenario::saw_the_end() {
  require(closed_, "an open queue said that it is closed");
  // One given back after the last was taken may be on its way to a newcomer by now.
  const bool promised = given_back_ > 0 && !jobs_.core().item_to_spare();
  require(jobs_.empty() || promised, "a queue said closed and drained with an item in it");
}

// Never cancelled: with one of these about, whatever is put is taken.
task<> queue_scenario::sweep() {
  while (auto got = co_await jobs_.take()) {
    claim mine(*this, **got);
    if (chance(3)) co_await pause(random_);
    mine.will_end_as(&ends::done);
  }
  saw_the_end();
}

task<> queue_scenario::wait_for_join() {
  for (int times = up_to(4); times > 0; --times) {
    co_await pause(random_);
    co_await jobs_.join();
    require(waiting_.empty() && held_ == 0, "join returned while there was work");
  }
}

// --- those who spoil it ---

task<> queue_scenario::make_trouble() {
  co_await squad_ready_.wait();
  const int times = up_to(60);
  for (int n = 0; n < times; ++n) {
    co_await pause(random_);
    do_harm();
  }
  if (!has_sweeper_) {
    has_sweeper_ = true;
    consumers_.push_back(outer_->spawn_named("sweeper", [this] { return sweep(); }));
  }
  trouble_over_.set();
}

// Any task, but rather one that has been promised something and has not run since.
task_handle<> queue_scenario::some_victim() {
  for (int tries = up_to(3);; --tries) {
    task_handle<> victim = victims_[static_cast<std::size_t>(random_.below(victims_.size()))];
    const detail::waiter* wait = victim.done() ? nullptr : victim.record().waiting_on();
    const bool promised = wait != nullptr && wait->state() == detail::wait_state::granted;
    if (promised || tries == 0) return victim;
  }
}

void queue_scenario::do_harm() {
  const auto what = random_.below(28);
  if (what > 13) return;
  if (what < 9) {
    some_victim().cancel("bad luck");
  } else if (what == 9 && squad_ != nullptr) {
    squad_->cancel("the whole squad");
  } else if (what == 10) {
    if (auto got = jobs_.try_take()) {
      claim mine(*this, ***got);
      mine.will_end_as(&ends::done);
    }
  } else if (what == 11 && !has_sweeper_) {
    has_sweeper_ = true;
    consumers_.push_back(outer_->spawn_named("sweeper", [this] { return sweep(); }));
  } else if (what == 12 && chance(3)) {
    close();
  } else if (what == 13 && (jobs_.core().granted_ > 0 || chance(3))) {
    abort();
  }
}

void queue_scenario::close() {
  note_taken_up();
  closed_ = true;
  jobs_.close();
}

void queue_scenario::abort() {
  note_taken_up();
  closed_ = aborted_ = true;
  const std::vector<parcel> left = jobs_.abort();
  const bool same = std::ranges::equal(
      left, waiting_, [](const parcel& one, const label& expected) { return *one == expected; });
  require(same, "abort did not give back exactly what was in the queue, in order");
  returned_ += waiting_.size();
  waiting_.clear();
}

task<> queue_scenario::finish() {
  co_await trouble_over_.wait();
  for (std::size_t n = 0; n < producers_.size(); ++n) co_await ended(producers_[n]);
  co_await pause(random_);
  if (chance(4)) {
    abort();
  } else {
    close();
  }
  for (std::size_t n = 0; n < consumers_.size(); ++n) co_await ended(consumers_[n]);
  require(waiting_.empty() || given_back_ > 0, "closed, and an item was left that nobody took");
  abort();  // what was given back at the last moment; those who join are released
}

// --- what must be ---

void queue_scenario::check_step() {
  if (!problem_.empty()) return;
  note_taken_up();
  const queue_statistics now = jobs_.statistics();
  const detail::queue_core& core = jobs_.core();
  require(now.size == waiting_.size(), "the queue's size is not what was put less what was taken");
  require(now.put == put_, "the count of items put is wrong");
  require(now.done == ends_.done, "the count of items done is wrong");
  require(now.failed == ends_.failed, "the count of items failed is wrong");
  require(now.abandoned == ends_.abandoned, "the count of items abandoned is wrong");
  require(now.unfinished == waiting_.size() + held_, "the count of unfinished items is wrong");
  require(now.size + core.reserved_ <= now.capacity + given_back_, "more items than there is room");
  require(core.granted_ <= now.size, "more items are promised than there are");
  require(now.getters_waiting == 0 || !core.item_to_spare(),
          "a task waits to take while there is an item for it");
  require(now.putters_waiting == 0 || !core.room_to_spare(),
          "a task waits to put while there is room for it");
}

void queue_scenario::check_end() {
  require(held_ == 0, "a ticket outlived its task");
  check_step();
  abort();
  const detail::queue_core& core = jobs_.core();
  require(core.granted_ == 0, "an item is promised to nobody");
  require(core.reserved_ == 0, "room is promised to nobody");
  const std::uint64_t out = ends_.done + ends_.failed + ends_.abandoned;
  require(put_ == out + returned_, "items in are not items out and items left");
}

void queue_scenario::problem(const std::string& what) {
  if (!problem_.empty()) return;
  problem_ = what + "\n  " + jobs_.core().describe("take") +
             ", model: " + std::to_string(waiting_.size()) + " waiting, " + std::to_string(held_) +
             " held";
  if (closed_) problem_ += aborted_ ? ", aborted" : ", closed";
}

}  // namespace brigade::sim
