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

task<attempt_result> stage_body::run(payload& item, const attempt_info& info) {
  co_return run_now(item, info);
}

}  // namespace brigade
