#include <brigade/async/assert.hpp>
#include <brigade/testing/counted.hpp>

#include <utility>

namespace brigade::testing {

census::~census() { BRIGADE_ASSERT(live_ == 0, "counted items are left"); }

counted::counted(census& in, int value) : census_(&in), value_(value), holds_(true) {
  ++census_->live_;
  ++census_->held_;
}

counted::counted(const counted& other)
    : census_(other.census_), value_(other.value_), holds_(other.holds_) {
  ++census_->live_;
  ++census_->copies_;
  census_->held_ += holds_ ? 1 : 0;
}

counted::counted(counted&& other) noexcept : census_(other.census_), value_(0), holds_(false) {
  ++census_->live_;
  take(other);
}

counted& counted::operator=(const counted& other) {
  if (this != &other) *this = counted(other);
  return *this;
}

counted& counted::operator=(counted&& other) noexcept {
  if (this == &other) return *this;
  drop();
  --std::exchange(census_, other.census_)->live_;
  ++census_->live_;
  take(other);
  return *this;
}

counted::~counted() {
  drop();
  --census_->live_;
}

void counted::take(counted& other) noexcept {
  ++census_->moves_;
  value_ = other.value_;
  holds_ = std::exchange(other.holds_, false);
}

void counted::drop() noexcept { census_->held_ -= std::exchange(holds_, false) ? 1 : 0; }

int counted::value() const {
  BRIGADE_ASSERT(holds_, "an item was used after it was moved away");
  return value_;
}

}  // namespace brigade::testing
