#include "async/reactor.hpp"

#include <brigade/async/asio.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/loop.hpp>

#include <exception>
#include <utility>

namespace brigade {

boost::asio::io_context& asio_context() { return detail::reactor::current().context; }

namespace detail {

namespace {
// The handler of an aborted operation may itself begin one (a composed one does), so one poll need
// not be enough; one that is still under way then does not listen.
constexpr int polls_to_end = 64;
}  // namespace

asio_link::asio_link(asio_wait& wait, reactor& owner) : waiting(&wait), world(owner) {}

asio_link::of_handler asio_link::for_handler() noexcept {
  ++owners_;
  ++world.operations;
  return of_handler(this);
}

void asio_link::handler_gone() noexcept {
  --world.operations;
  if (waiting != nullptr) waiting->arrived();
  release{}(this);
}

bool asio_wait::begin_operation(std::coroutine_handle<> handle) {
  link_ = asio_link::of_wait(new asio_link(*this, reactor::current()));
  if (begin_wait(handle)) return false;
  state_ = wait_state::waiting;
  background_ = task_->background();
  task_->owner().outside_wait_begins(background_);
  return true;
}

void asio_wait::let_go() noexcept {
  link_->waiting = nullptr;
  task_->owner().outside_wait_ends(background_);
}

void asio_wait::arrived() noexcept {
  let_go();
  wake(wait_state::granted);
}

void asio_wait::withdraw() noexcept {
  if (state_ == wait_state::waiting) let_go();
}

bool asio_wait::cancel() noexcept {
  // Not before the operation has ended, and not at all when it has: its result would be lost. So
  // the request stays, and `finish` serves it.
  if (state_ == wait_state::waiting) {
    cancel_asked_ = true;
    link_->stop.emit(boost::asio::cancellation_type::terminal);
  }
  return false;
}

void asio_wait::abandon() noexcept {
  if (state_ != wait_state::waiting) return;
  loop& owner = task_->owner();
  link_->stop.emit(boost::asio::cancellation_type::terminal);
  for (int i = 0; i < polls_to_end && state_ == wait_state::waiting; ++i) {
    try {
      link_->world.context.poll();
    } catch (...) {  // of somebody's callback, which is none of this frame's
      if (owner.on_unhandled) owner.on_unhandled("a callback of Asio", std::current_exception());
    }
  }
  withdraw();
}

void asio_wait::finish(bool failed) {
  end_wait();
  if (!cancel_asked_ || !failed) return;
  if (task_->interrupted()) task_->note_interrupted_wait();
  task_->throw_cancelled();
}

boost::asio::io_context& asio_wait::context_of(const asio_link& link) noexcept {
  return link.world.context;
}

std::string asio_wait::describe() const {
  std::string text = "asio operation";
  if (name_ != nullptr) text += std::string(" '") + name_ + "'";
  if (cancel_asked_) text += ", which was asked to end";
  return text;
}

}  // namespace detail
}  // namespace brigade
