#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/stage.hpp>

namespace brigade {

task<> stage_body::open(int) { co_return; }

task<> stage_body::close() { co_return; }

void stage_body::worker_begins(int) {}

void stage_body::worker_ended(int) {}

attempt_result stage_body::run_now(payload&, const attempt_info&) {
  BRIGADE_ASSERT(false, "a stage body says it is immediate and has no run_now");
  return attempt_result::unchanged();
}

payload stage_body::join(std::span<const payload* const>) {
  BRIGADE_ASSERT(false, "a stage collects items and its body cannot join them");
  return {};
}

task<std::vector<attempt_result>> stage_body::run_together(const std::vector<attempt_request>&) {
  BRIGADE_ASSERT(false, "a stage body takes several items at once and has no run_together");
  co_return std::vector<attempt_result>{};
}

task<attempt_result> stage_body::run(payload& item, const attempt_info& info) {
  co_return run_now(item, info);
}

namespace {

attempt_result failed_with(verdict kind, std::string error) {
  return attempt_result::failed(failure(kind, std::move(error)));
}

}  // namespace

attempt_result failed_by(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const permanent_error& why) {
    return failed_with(verdict::permanent, why.what());
  } catch (const fatal_error& why) {
    return failed_with(verdict::fatal, why.what());
  } catch (const timed_out& late) {
    failure why(verdict::retryable, late.what());
    why.timed_out = true;
    return attempt_result::failed(std::move(why));
  } catch (...) {
    return failed_with(verdict::retryable, error_text(error));
  }
}

}  // namespace brigade
