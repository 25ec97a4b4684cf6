#include <brigade/async/error.hpp>

#include <cxxabi.h>

#include <cstdlib>
#include <utility>

namespace brigade {

namespace {

std::string seconds_text(std::chrono::nanoseconds duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  if (ms % 1000 == 0) return std::to_string(ms / 1000) + " s";
  return std::to_string(ms) + " ms";
}

std::string group_text(const std::vector<std::exception_ptr>& errors) {
  if (errors.size() == 1) return error_text(errors.front());
  std::string text = std::to_string(errors.size()) + " errors in a task group: ";
  constexpr std::size_t shown_max = 10;
  for (std::size_t i = 0; i < errors.size() && i < shown_max; ++i) {
    if (i != 0) text += "; ";
    text += error_text(errors[i]);
  }
  if (errors.size() > shown_max) text += "; ...";
  return text;
}

}  // namespace

timed_out::timed_out(std::chrono::nanoseconds after)
    : std::runtime_error("timed out after " + seconds_text(after)), after_(after) {}

queue_closed::queue_closed(std::string_view queue_name)
    : std::runtime_error("queue '" + std::string(queue_name) + "' is closed") {}

queue_full::queue_full(std::string_view queue_name)
    : std::runtime_error("queue '" + std::string(queue_name) + "' is full") {}

exception_group::exception_group(std::vector<std::exception_ptr> errors)
    : errors_(std::make_shared<const std::vector<std::exception_ptr>>(std::move(errors))),
      text_(std::make_shared<const std::string>(group_text(*errors_))) {}

std::string error_text(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return known.what();
  } catch (const cancelled& by_cancel) {
    return "cancelled: " + by_cancel.reason();
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    int status = 0;
    char* name =
        type == nullptr ? nullptr : abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    std::string text = "an exception of type ";
    text += name != nullptr ? name : "unknown";
    std::free(name);
    return text;
  }
}

}  // namespace brigade
