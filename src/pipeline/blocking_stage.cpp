#include <brigade/pipeline/blocking_stage.hpp>

#include <chrono>
#include <utility>

namespace brigade {

task<> blocking_stage::open(int workers) {
  workers_ = static_cast<std::size_t>(workers);
  threads_.emplace(workers_, "blocking stage");
  co_return;
}

void blocking_stage::worker_begins(int) { threads_->set_size(++workers_); }

void blocking_stage::worker_ended(int) { threads_->set_size(--workers_); }

task<> blocking_stage::close() {
  if (threads_) co_await threads_->shutdown(std::chrono::nanoseconds(0));
}

task<attempt_result> blocking_stage::run(payload& item, const attempt_info&) {
  auto work = [made = call_for(item)](std::stop_token stop) { return made(stop); };
  auto called = threads_->run(std::move(work));
  attempt_result result = co_await std::move(called);
  co_return result;
}

}  // namespace brigade
