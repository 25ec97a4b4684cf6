#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/ticket.hpp>

#include <cxxabi.h>

#include <cstddef>

namespace brigade::detail {

// The layout is fixed by the Itanium C++ ABI, section 2.2.2: a pointer to the stack of caught
// exceptions, then the count of uncaught ones.
void find_uncaught_count() noexcept {
  const auto* globals = reinterpret_cast<const std::byte*>(abi::__cxa_get_globals());
  uncaught_count = reinterpret_cast<const unsigned*>(globals + sizeof(void*));
}

frame_end end_by_exception() noexcept {
  const loop* const here = loop::current_if_any();
  const task_state* const running = here != nullptr ? here->running() : nullptr;
  const bool by_cancel = running != nullptr && running->cancellation_in_flight();
  return by_cancel ? frame_end::cut_short : frame_end::failed;
}

queue_core::counter unsaid_end() noexcept {
  if (!left_in_trouble()) return &queue_core::done_;
  const frame_end how = frames_being_destroyed > 0 ? frame_ended : end_by_exception();
  return how == frame_end::failed ? &queue_core::failed_ : &queue_core::abandoned_;
}

}  // namespace brigade::detail
