#include <brigade/async/cleanup.hpp>
#include <brigade/async/spawn.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade::detail {

namespace {

std::optional<std::string> cancel_reason(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const cancelled& why) {
    return why.reason();
  } catch (...) {
    return std::nullopt;
  }
}

// What a request of `cancel` was used up for gives way to an error: it strikes once more.
void ask_again(const std::string& reason) {
  task_ref self = current_task();
  self.uncancel();
  self.cancel(reason);
}

}  // namespace

cleanup_end::cleanup_end() : requests_before_(current_task().cancelling()) {}

void cleanup_end::body_failed(std::exception_ptr error) {
  body_ = std::move(error);
  struck_ = current_task().record().cancellation_in_flight();
}

void cleanup_end::settle(std::exception_ptr cleanup) {
  if (!body_) {
    if (cleanup) std::rethrow_exception(cleanup);
    return;
  }
  const auto why = cancel_reason(body_);
  if (cleanup && !cancel_reason(cleanup)) {
    if (!why) throw exception_group(std::vector<std::exception_ptr>{body_, cleanup});
    if (current_task().cancelling() > requests_before_) ask_again(*why);
    std::rethrow_exception(cleanup);
  }
  if (why && struck_) current_task().record().throw_cancelled();
  std::rethrow_exception(body_);
}

}  // namespace brigade::detail
