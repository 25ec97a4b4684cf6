#include <brigade/async/assert.hpp>
#include <brigade/async/detail/crew.hpp>
#include <brigade/async/error.hpp>

namespace brigade::detail {

crew_base::crew_base(std::size_t workers_max, std::string name)
    : group_(std::move(name)), workers_max_(workers_max) {
  BRIGADE_ASSERT(workers_max > 0, "for_each and map with a concurrency of 0 would do nothing");
}

bool crew_base::may_grow() const {
  return workers_ < workers_max_ && !loop::current().running()->interrupted();
}

bool crew_base::end_of_item(const std::exception_ptr& error, bool item_taken, bool collects) {
  bool by_cancel = false;
  try {
    std::rethrow_exception(error);
  } catch (const cancelled& why) {
    by_cancel = true;
    const bool own = loop::current().running()->cancellation_in_flight();
    if (own || !item_taken || !collects) {
      // To the group a child that ends so is none of its business; here an item is not done.
      if (!given_up_) given_up_ = error;
      group_.cancel(why.reason());
      throw;
    }
  } catch (...) {
    if (!item_taken || !collects) throw;
  }
  return by_cancel;
}

void crew_base::rethrow() {
  if (given_up_) std::rethrow_exception(given_up_);
  const bool worker_lost = group_.statistics().cancelled != 0;
  if (worker_lost) throw cancelled("a worker of " + group_.name() + " was destroyed at its item");
  if (!errors_.empty()) throw exception_group(std::move(errors_));
}

}  // namespace brigade::detail
