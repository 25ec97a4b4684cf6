#include <brigade/async/error.hpp>
#include <brigade/testing/fault.hpp>

#include <algorithm>
#include <exception>
#include <string>

namespace brigade::testing {

namespace {

bool is_the_fault(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const injected_fault&) {
    return true;
  } catch (const exception_group& group) {
    return std::ranges::all_of(group.errors(), is_the_fault);
  } catch (...) {
    return false;
  }
}

}  // namespace

void fail_at::pass(std::source_location where) {
  if (++passed_ != nth_) return;
  throw injected_fault("injected fault " + std::to_string(nth_) + " at " + where.file_name() + ":" +
                       std::to_string(where.line()));
}

std::uint64_t for_each_failure(const std::function<void(fail_at&)>& scenario,
                               std::uint64_t calls_max) {
  for (std::uint64_t nth = 1; nth <= calls_max; ++nth) {
    fail_at fault(nth);
    try {
      scenario(fault);
    } catch (...) {
      const std::exception_ptr error = std::current_exception();
      if (fault.failed() && is_the_fault(error)) continue;
      throw std::runtime_error("with call " + std::to_string(nth) +
                               " failing: " + error_text(error));
    }
    if (!fault.failed()) return nth - 1;
  }
  throw std::runtime_error("the scenario still fails at call " + std::to_string(calls_max));
}

}  // namespace brigade::testing
