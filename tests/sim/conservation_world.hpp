// What the tasks of a simulated life share: queues of one kind, each beside its model, a source of
// chance, and a bell.
#pragma once
#include "sim/conservation_features.hpp"
#include "sim/conservation_line.hpp"
#include "sim/conservation_model.hpp"
#include "sim/conservation_oracle.hpp"
#include "sim/pause.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/task.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace brigade::sim {

struct world {
  explicit world(std::uint64_t seed) : random(seed) {}

  testing::random_source random;
  oracle judge;
  item_book book{judge};
  event bell{"the bell"};
  bool makers_hurry = false;   ///< they live on their turn budget
  bool takers_dawdle = false;  ///< so that queues fill

  [[nodiscard]] bool chance(std::uint64_t one_in) { return random.one_in(one_in); }
  [[nodiscard]] int up_to(int most) { return between(0, most); }
  [[nodiscard]] int between(int least, int most) {
    return least + static_cast<int>(random.below(static_cast<std::uint64_t>(most - least) + 1));
  }
  [[nodiscard]] std::chrono::milliseconds short_time() { return sim::short_time(random); }
  [[nodiscard]] parcel new_item(int producer, int number) {
    const int rank = up_to(2);
    const auto weight = static_cast<std::size_t>(between(1, static_cast<int>(weight_most)));
    return book.make(producer, number, rank, weight);
  }
  task<> pause() { return sim::pause(random); }
  task<> before_a_put() {
    if (!makers_hurry) co_await pause();
  }
  task<> at_work();
  /// Plays a life to its end, or until it is killed after so many steps (0: it is not), with a
  /// check before each step.
  void play(testing::virtual_loop& loop, std::uint64_t dies_after, task<> life,
            std::function<void()> check);
  /// `body` under a deadline of one kind or another; false: it passed.
  task<bool> in_time(task<> body);
};

[[nodiscard]] queue_options<parcel> options_for(const queue_terms& terms);

/// The name of the task that runs now.
[[nodiscard]] std::string own_name();

template <class Queue>
struct subject {
  subject(world& of, const queue_terms& terms)
      : takers(of.judge, "those who take from " + terms.name),
        putters(of.judge, "those who put into " + terms.name),
        model(of.judge, of.book, putters, terms),
        queue(options_for(terms)) {}

  void check() {
    takers.check();
    putters.check();
    model.check(queue.core(), takers);
  }

  waiting_line takers;
  waiting_line putters;
  queue_model model;
  Queue queue;
};

template <class Queue>
struct queue_world : world {
  using world::world;
  std::vector<std::unique_ptr<subject<Queue>>> subjects;

  [[nodiscard]] subject<Queue>& some_subject() {
    return *subjects[static_cast<std::size_t>(random.below(subjects.size()))];
  }
  /// One that is open, or else `otherwise`: a closed one is always ready to say so.
  [[nodiscard]] subject<Queue>& some_open_subject(subject<Queue>& otherwise) {
    subject<Queue>& one = some_subject();
    return one.queue.closed() ? otherwise : one;
  }
};

}  // namespace brigade::sim
