#include "connect/exec_stage.hpp"

#include "connect/exec_keeper.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>

#include <string_view>
#include <utility>
#include <vector>

namespace brigade::exec {

namespace {

/// An order that the attempt waits for, and that is withdrawn when the attempt is given up.
class awaited_order final : public order {
 public:
  awaited_order(desk& taker, const attempt_info& info, std::string_view text)
      : order(info.id, info.key, info.attempt, text), desk_(taker) {
    desk_.submit(*this, loop::current().now());
  }
  ~awaited_order() override {
    if (!result) desk_.withdraw(*this);
  }
  event answered{"the handler's answer"};

 private:
  void settled() noexcept override { answered.set(); }
  desk& desk_;
};

class ndjson_stage final : public stage_body {
 public:
  explicit ndjson_stage(exec_options options) : options_(std::move(options)) {}
  ~ndjson_stage() override {
    for (auto& one : running_) one.cancel("the stage is gone");
  }

  task<> open(int workers) override;
  task<> close() override;
  void worker_begins(int worker) override;
  void worker_ended(int worker) override;
  [[nodiscard]] int in_flight_per_worker() const override { return options_.in_flight; }
  [[nodiscard]] bool minds_timeout() const override { return true; }
  task<attempt_result> run(payload& item, const attempt_info& info) override;

 private:
  exec_options options_;
  /// By worker; their tasks share them: see the destructor. None: that worker has ended.
  std::vector<std::shared_ptr<keeper>> keepers_;
  std::vector<task_handle<>> running_;
};

task<> ndjson_stage::open(int workers) {
  for (int worker = 0; worker < workers; ++worker) worker_begins(worker);
  co_return;
}

void ndjson_stage::worker_begins(int worker) {
  keeper_options options(options_.program, worker_label(options_, worker));
  options.in_flight = options_.in_flight;
  options.timeout = options_.timeout;
  options.line_bytes_max = options_.line_bytes_max;
  const auto place = static_cast<std::size_t>(worker);
  if (keepers_.size() <= place) keepers_.resize(place + 1);
  keepers_[place] = std::make_shared<keeper>(std::move(options));
  std::erase_if(running_, [](const task_handle<>& one) { return one.done() && !one.error(); });
  running_.push_back(spawn(&keeper::keep, keepers_[place]));
  running_.back().set_name("handler of " + worker_label(options_, worker));
}

// Its handler ends as at the end of the run, while the others go on.
void ndjson_stage::worker_ended(int worker) {
  keepers_.at(static_cast<std::size_t>(worker))->close();
  keepers_[static_cast<std::size_t>(worker)] = nullptr;
}

task<> ndjson_stage::close() {
  for (const auto& one : keepers_) {
    if (one) one->close();
  }
  for (auto& one : running_) co_await one.join();
  running_.clear();
  keepers_.clear();
}

task<attempt_result> ndjson_stage::run(payload& item, const attempt_info& info) {
  desk& taker = keepers_.at(static_cast<std::size_t>(info.worker))->orders();
  const record& value = item.get<record>();
  std::string wrapped;
  if (value.what() != record::shape::json) wrapped = value.json_text();
  awaited_order asked(taker, info, wrapped.empty() ? value.raw() : std::string_view(wrapped));
  co_await asked.answered.wait();
  co_return std::move(*asked.result);
}

}  // namespace

std::string worker_label(const exec_options& options, int worker) {
  return options.stage + "[worker " + std::to_string(worker) + "]";
}

std::unique_ptr<stage_body> make_ndjson_stage(exec_options options) {
  return std::make_unique<ndjson_stage>(std::move(options));
}

}  // namespace brigade::exec
