#include "connect/rows_exchange.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/outside_hold.hpp>
#include <brigade/pipeline/log.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace brigade::rows {

void bell::ring() {
  const std::lock_guard lock(mutex_);
  rung_ = true;
  if (waiter_ == nullptr) return;
  box_->post([waiter = std::move(waiter_)] { waiter->set(); });
  waiter_.reset();
  box_.reset();
}

task<> bell::wait() {
  const auto rings = std::make_shared<event>("bell");
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(rung_, false)) co_return;
    waiter_ = rings;
    box_ = loop::current().mailbox();
  }
  const outside_hold hold;
  co_await rings->wait();
  const std::lock_guard lock(mutex_);
  rung_ = false;
}

template <class Change>
void exchange::change(bell& whose, Change what) {
  {
    const std::lock_guard lock(mutex_);
    what();
  }
  whose.ring();
}

task<> exchange::opened() {
  {
    const std::lock_guard lock(mutex_);
    box_ = loop::current().mailbox();
  }
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (opened_) co_return;  // what failed since, `take` says
      if (error_) std::rethrow_exception(error_);
    }
    co_await here_.wait();
  }
}

task<std::vector<row>> exchange::take(std::size_t rows_max) {
  std::vector<row> taken;
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      const std::size_t count = std::min(rows_max, rows_.size());
      const auto end = rows_.begin() + static_cast<std::ptrdiff_t>(count);
      taken.assign(std::move_iterator(rows_.begin()), std::move_iterator(end));
      rows_.erase(rows_.begin(), end);
      for (const row& each : taken) bytes_ -= each.bytes();
      wanted_ = taken.empty() ? rows_max : 0;
      if (taken.empty() && error_) std::rethrow_exception(error_);
      if (taken.empty() && at_end_) co_return taken;
    }
    there_.ring();
    if (!taken.empty()) co_return taken;
    co_await here_.wait();
  }
}

void exchange::settle(settled_row what) {
  change(there_, [&] { settled_.push_back(std::move(what)); });
}

void exchange::keep_claims() {
  const std::lock_guard lock(mutex_);
  keeps_claims_ = true;
}

void exchange::ask_to_stop() {
  change(there_, [&] { stopping_ = true; });
}

task<> exchange::ended() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (ended_) co_return;
    }
    co_await here_.wait();
  }
}

void exchange::abandon() {
  change(there_, [&] { stopping_ = abandoned_ = true; });
}

void exchange::say_opened() {
  change(here_, [&] { opened_ = true; });
}

void exchange::give(std::vector<row> rows) {
  change(here_, [&] {
    wanted_ -= std::min(wanted_, rows.size());
    for (const row& each : rows) bytes_ += each.bytes();
    rows_.insert(rows_.end(), std::move_iterator(rows.begin()), std::move_iterator(rows.end()));
  });
}

void exchange::say_end() {
  change(here_, [&] { at_end_ = true; });
}

void exchange::fail(std::exception_ptr error) {
  change(here_, [&] {
    if (!error_) error_ = std::move(error);
  });
}

void exchange::say_ended() {
  change(here_, [&] { ended_ = true; });
}

void exchange::say(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (box_ != nullptr) box_->post([line] { log_line(line); });
}

std::size_t exchange::wanted() {
  const std::lock_guard lock(mutex_);
  return wanted_;
}

exchange::amount exchange::stock() {
  const std::lock_guard lock(mutex_);
  return {rows_.size(), bytes_};
}

std::vector<settled_row> exchange::take_settled() {
  const std::lock_guard lock(mutex_);
  return std::exchange(settled_, {});
}

bool exchange::keeps_claims() {
  const std::lock_guard lock(mutex_);
  return keeps_claims_;
}

bool exchange::stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

bool exchange::abandoned() {
  const std::lock_guard lock(mutex_);
  return abandoned_;
}

}  // namespace brigade::rows
