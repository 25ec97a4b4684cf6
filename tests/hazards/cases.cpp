// Which co_await expressions survive the compiler? One function a case, each run in a process of
// its own; prints `<case> ok`, `<case> broken` a line. hazards_test.py builds this with each
// compiler and compares with its table.
//
// A case is broken when it crashes, when its value is wrong, or when the number of owning objects
// alive at its end is not 0: below 0 means that a temporary was destroyed twice.
#include "hazard_task.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hazards {
namespace {

// What the cases call.
struct options {  // an aggregate that owns
  int attempts = 3;
  owner held{};
};
struct built_options {  // the same with a constructor
  explicit built_options(int attempts_, owner held_ = owner())
      : attempts(attempts_), held(std::move(held_)) {}
  int attempts;
  owner held;
};
struct defaulted_options {  // no aggregate, for it declares a constructor
  defaulted_options() = default;
  int attempts = 3;
  owner held{};
};
struct plain_options {  // an aggregate that owns nothing
  int attempts = 3;
  long base = 10;
};
struct agg_awaiter {  // an aggregate that is awaited itself
  owner held{};
  bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) noexcept { return false; }
  int await_resume() { return held.value(); }
};

task<int> with_options(options given) { co_return given.held.value(); }
task<int> with_options_cref(const options& given) { co_return given.held.value(); }
task<int> with_built(built_options given) { co_return given.held.value(); }
task<int> with_defaulted(defaulted_options given) { co_return given.held.value(); }
task<int> with_plain(plain_options given) { co_return given.attempts; }
task<int> with_owner(owner given) { co_return given.value(); }
task<int> with_string(std::string text) { co_return static_cast<int>(text.size()); }
task<int> with_two(owner one, const owner& two) { co_return one.value() + two.value(); }
template <class F>
task<> call(F f) {
  f();
  co_return;
}
template <class F>
task<> call_forwarded(F&& f) {
  f();
  co_return;
}
options make_options() { return options{}; }
// Suspends its awaiter for real: the driver resumes it.
std::coroutine_handle<> parked;
struct pause {
  explicit pause(int value_) : value(value_) {}
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) noexcept { parked = h; }
  bool await_resume() { return value != 0; }
  int value;
  owner held{};
};

// --- known to break with g++ 12
// -------------------------------------------------------------------

task<> lambda_with_owning_capture() {
  co_await call([held = owner()] { expect(held.value() == 1); });
}
task<> function_from_owning_lambda() {
  co_await call(std::function<void()>([held = owner()] { expect(held.value() == 1); }));
}
task<> owning_lambda_by_forwarding_reference() {
  co_await call_forwarded([held = owner()] { expect(held.value() == 1); });
}
task<> owning_coroutine_lambda_called_in_place() {
  co_await [held = owner()]() -> task<> {
    expect(held.value() == 1);
    co_return;
  }();
}
task<> braced_aggregate_by_value() { expect(co_await with_options({.attempts = 5}) == 1); }
task<> typed_aggregate_by_value() { expect(co_await with_options(options{.attempts = 5}) == 1); }
task<> braced_aggregate_by_reference() { expect(co_await with_options_cref({.attempts = 5}) == 1); }
task<> aggregate_awaiter() { expect(co_await agg_awaiter{} == 1); }
task<> conditional_between_awaits() {
  bool first = alive == 0;
  owner got = first ? co_await owned(1) : co_await owned(2);
  expect(got.value() == 1);
}
task<> conditional_between_tasks() {
  bool first = alive == 0;
  owner got = co_await (first ? owned(1) : owned(2));
  expect(got.value() == 1);
}
task<> await_in_aggregate() {
  options got{5, co_await owned(7)};
  expect(got.held.value() == 7);
}
task<> await_in_capture() {
  auto get = [held = co_await owned(7)] { return held.value(); };
  expect(get() == 7);
}
task<> throw_of_await() { throw std::runtime_error(std::to_string(co_await number(7))); }
task<> await_in_loop_condition_without_locals(int* left) {
  while (co_await pause((*left)--)) expect(*left >= 0);
}
task<> await_in_if_condition_without_locals(int* left) {
  for (;;)
    if (!co_await pause((*left)--)) co_return;
}

// --- right with both, and what brigade is written in
// ----------------------------------------------

task<> named_callable() {
  auto f = [held = owner()] { expect(held.value() == 1); };
  co_await call(std::move(f));
}
task<> named_task() {
  auto t = call([held = owner()] { expect(held.value() == 1); });
  co_await std::move(t);
}
task<> lambda_with_reference_captures() {
  owner held;
  co_await call([&held] { expect(held.value() == 1); });
}
task<> owning_lambda_inside_a_lambda() {
  co_await call([] {
    auto inner = std::function<void()>([held = owner()] { expect(held.value() == 1); });
    inner();
  });
}
task<> choice_inside_a_lambda() {
  bool first = alive == 0;
  co_await call([&] {
    const owner got = first ? owner(1) : owner(2);
    expect(got.value() == 1);
  });
}
task<> table_of_coroutine_lambdas() {
  std::vector<std::function<task<>()>> table{[]() -> task<> { expect(co_await number(1) == 1); },
                                             []() -> task<> { expect(co_await number(2) == 2); }};
  for (auto& entry : table) co_await entry();
}
task<> captured_coroutine_lambda() {
  auto inner = [](int n) -> task<> { expect(co_await number(n) == n); };
  auto outer = [&] { return inner(3); };
  co_await outer();
}
task<> options_with_a_constructor() { expect(co_await with_built(built_options(5)) == 1); }
task<> options_with_a_defaulted_constructor() { expect(co_await with_defaulted({}) == 1); }
task<> trivial_aggregate() { expect(co_await with_plain({.attempts = 5}) == 5); }
task<> named_aggregate() {
  options given{.attempts = 5};
  expect(co_await with_options(std::move(given)) == 1);
}
task<> aggregate_returned_by_a_function() { expect(co_await with_options(make_options()) == 1); }
task<> class_temporaries() {
  expect(co_await with_two(owner(3), owner(4)) == 7);
  expect(co_await with_string("longer than any small string buffer is") == 38);
}
task<> nested_awaits() { expect(co_await with_owner(co_await owned(co_await number(9))) == 9); }
task<> if_else_around_awaits() {
  owner got;
  if (alive == 1) {
    got = co_await owned(1);
  } else {
    got = co_await owned(2);
  }
  expect(got.value() == 1);
}
task<> await_in_condition_with_a_local(int* left) {
  int seen = 0;
  while (co_await pause((*left)--)) ++seen;
  expect(seen == 3);
}
task<> await_in_condition_declaration(int* left) {
  while (bool more = co_await pause((*left)--)) expect(more);
}
task<> await_hoisted_from_the_condition(int* left) {
  for (;;) {
    const bool more = co_await pause((*left)--);
    if (!more) co_return;
  }
}
task<> fails(owner held) {
  expect(held.value() == 2);
  co_return;
}
task<> exception_amid_temporaries() {
  bool thrown = false;
  try {
    co_await fails(owner(1));
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  expect(thrown);
}
task<> vector_built_from_names() {
  std::vector<int> values{1, 2};
  values.push_back(co_await number(3));
  expect(values.size() == 3);
}

// --- driver
// ---------------------------------------------------------------------------------------

void run_to_end(task<> whole) {
  whole.handle.resume();
  while (parked) std::exchange(parked, {}).resume();
  expect(whole.handle.done());
  if (whole.handle.promise().error) std::rethrow_exception(whole.handle.promise().error);
}
void run_with_count(task<> (*coroutine)(int*)) {
  int left = 3;
  run_to_end(coroutine(&left));
}
void run_throwing(task<> (*coroutine)()) {
  try {
    run_to_end(coroutine());
  } catch (const std::runtime_error& error) {
    expect(std::string(error.what()) == "7");
    return;
  }
  expect(false);
}

struct hazard {
  const char* name;
  std::function<void()> run;
};
#define CASE(f)                 \
  hazard {                      \
    #f, [] { run_to_end(f()); } \
  }
#define CASE_COUNTING(f)          \
  hazard {                        \
    #f, [] { run_with_count(f); } \
  }

std::vector<hazard> all_hazards() {
  return {CASE(lambda_with_owning_capture),
          CASE(function_from_owning_lambda),
          CASE(owning_lambda_by_forwarding_reference),
          CASE(owning_coroutine_lambda_called_in_place),
          CASE(braced_aggregate_by_value),
          CASE(typed_aggregate_by_value),
          CASE(braced_aggregate_by_reference),
          CASE(aggregate_awaiter),
          CASE(conditional_between_awaits),
          CASE(conditional_between_tasks),
          CASE(await_in_aggregate),
          CASE(await_in_capture),
          hazard{"throw_of_await", [] { run_throwing(throw_of_await); }},
          CASE_COUNTING(await_in_loop_condition_without_locals),
          CASE_COUNTING(await_in_if_condition_without_locals),
          CASE(named_callable),
          CASE(named_task),
          CASE(lambda_with_reference_captures),
          CASE(owning_lambda_inside_a_lambda),
          CASE(choice_inside_a_lambda),
          CASE(table_of_coroutine_lambdas),
          CASE(captured_coroutine_lambda),
          CASE(options_with_a_constructor),
          CASE(options_with_a_defaulted_constructor),
          CASE(trivial_aggregate),
          CASE(named_aggregate),
          CASE(aggregate_returned_by_a_function),
          CASE(class_temporaries),
          CASE(nested_awaits),
          CASE(if_else_around_awaits),
          CASE_COUNTING(await_in_condition_with_a_local),
          CASE_COUNTING(await_in_condition_declaration),
          CASE_COUNTING(await_hoisted_from_the_condition),
          CASE(exception_amid_temporaries),
          CASE(vector_built_from_names)};
}

bool survives(const hazard& one) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
    alarm(10);
    try {
      one.run();
    } catch (...) {
      _exit(3);
    }
    _exit(alive == 0 ? 0 : 4);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status == 0;
}

}  // namespace
}  // namespace hazards

int main() {
  for (const hazards::hazard& one : hazards::all_hazards()) {
    std::printf("%s %s\n", one.name, hazards::survives(one) ? "ok" : "broken");
    std::fflush(stdout);
  }
}
