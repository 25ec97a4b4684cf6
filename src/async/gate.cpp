#include <brigade/async/assert.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/gate.hpp>

namespace brigade {

using detail::wait_state;

gate_closed::gate_closed(std::string_view gate_name)
    : std::runtime_error("gate '" + std::string(gate_name) + "' is closed") {}

gate::~gate() {
  BRIGADE_ASSERT(inside_ == 0, "a gate was destroyed while somebody is inside");
  BRIGADE_ASSERT(closers_.empty(), "a gate was destroyed while a task waits for it");
}

gate::pass gate::enter() {
  pass result = try_enter();
  if (!result) throw gate_closed(name_);
  return result;
}

gate::pass gate::try_enter() noexcept {
  if (closed_) {
    ++refused_;
    return pass();
  }
  ++inside_;
  ++entered_;
  return pass(*this);
}

void gate::pass::leave() noexcept {
  BRIGADE_ASSERT(owner_ != nullptr, "an empty pass was used to leave");
  std::exchange(owner_, nullptr)->one_left();
}

void gate::one_left() noexcept {
  if (--inside_ != 0) return;
  while (!closers_.empty()) {
    static_cast<detail::waiter*>(closers_.front())->wake(wait_state::granted);
  }
}

gate_statistics gate::statistics() const {
  gate_statistics result;
  result.closed = closed_;
  result.inside = inside_;
  result.closers_waiting = closers_.size();
  result.entered = entered_;
  result.refused = refused_;
  return result;
}

void gate::close_operation::await_resume() { end_wait(); }

std::string gate::close_operation::describe() const {
  return "the last of " + std::to_string(gate_.inside_) + " to leave gate '" + gate_.name_ + "'";
}

}  // namespace brigade
