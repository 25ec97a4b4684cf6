#include <brigade/async/assert.hpp>
#include <brigade/testing/virtual_loop.hpp>

namespace brigade::testing {

void virtual_time::wait_until(detail::time_point deadline) {
  BRIGADE_ASSERT(deadline != detail::time_point::max(),
                 "a virtual loop waits for something from outside, which never comes");
  if (deadline > now_) now_ = deadline;
}

}  // namespace brigade::testing
