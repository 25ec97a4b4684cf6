// A wait that does not end at once when it is withdrawn is no arm of a select.
// g++:   cannot be withdrawn at once
// clang: cannot be withdrawn at once
#include <brigade/async/condition.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/select.hpp>

brigade::task<> serve(brigade::condition& changed, brigade::mutex::guard& guard,
                      brigade::event& closing) {
#ifdef BAD
  static_cast<void>(co_await brigade::select(changed.wait(guard), closing.wait()));
#else
  co_await changed.wait(guard);
  static_cast<void>(co_await brigade::select(closing.wait()));
#endif
}
