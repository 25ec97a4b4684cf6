// Two tasks, two locks, taken in different order. Others hang; here the report says who and where.
//
//   cook:   has the knife ── waits for the pan ──┐
//   baker:  has the pan ──── waits for the knife ┴──> deadlock, with names and lines
#include <brigade/async.hpp>

#include <cstdio>
#include <functional>
#include <string>

using namespace brigade;

task<> needs_both(mutex& first, mutex& second) {
  auto one = co_await first.lock();
  co_await yield();
  auto two = co_await second.lock();
  std::printf("this is not printed\n");
}

task<> kitchen() {
  mutex knife("knife");
  mutex pan("pan");
  co_await with_group([&](task_group& group) {
    group.spawn_named("cook", needs_both, std::ref(knife), std::ref(pan));
    group.spawn_named("baker", needs_both, std::ref(pan), std::ref(knife));
  });
}

int main() {
  loop here;
  here.on_warning = [](const std::string& text) { std::printf("%s\n\n", text.c_str()); };
  try {
    here.run(kitchen());
  } catch (const deadlock& found) {
    std::printf("%s\n", found.what());
  }
}
