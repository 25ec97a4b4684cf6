#include <brigade/async/outside_hold.hpp>

#include <utility>

namespace brigade {

outside_hold::outside_hold() : box_(loop::current().mailbox()) {
  loop::current().outside_wait_begins(false);
}

outside_hold& outside_hold::operator=(outside_hold&& other) noexcept {
  if (this != &other) {
    release();
    box_ = std::move(other.box_);
  }
  return *this;
}

void outside_hold::release() noexcept {
  const std::shared_ptr<detail::mailbox> box = std::exchange(box_, nullptr);
  if (box == nullptr) return;
  loop* const own = loop::current_if_any();
  if (own != nullptr && own->mailbox() == box) {
    own->outside_wait_ends(false);
  } else {
    box->post([] { loop::current().outside_wait_ends(false); });
  }
}

}  // namespace brigade
