#include <brigade/async/loop.hpp>
#include <brigade/pipeline/run_handle.hpp>

#include <algorithm>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

namespace brigade {

struct run_handle::line {
  std::mutex guard;
  std::vector<std::string> stages;
  std::shared_ptr<detail::mailbox> box;  ///< null: nothing runs
  std::optional<run_target> target;      ///< the loop's thread only

  // What comes too late finds nobody.
  static void post(const std::shared_ptr<line>& own, std::function<void(const run_target&)> what) {
    own->box->post([own, what = std::move(what)] {
      if (own->target) what(*own->target);
    });
  }
};

run_handle::run_handle() : line_(std::make_shared<line>()) {}

void run_handle::attach(run_target target) const {
  const std::lock_guard lock(line_->guard);
  line_->stages = target.stages;
  line_->target = std::move(target);
  line_->box = loop::current().mailbox();
}

void run_handle::detach() const {
  const std::lock_guard lock(line_->guard);
  line_->box = nullptr;
  line_->target.reset();
}

bool run_handle::scale(std::string_view stage, int workers, int workers_max) const {
  const std::lock_guard lock(line_->guard);
  if (line_->box == nullptr) return false;
  if (std::ranges::find(line_->stages, stage) == line_->stages.end()) {
    throw std::invalid_argument("there is no stage '" + std::string(stage) +
                                "' whose workers could be changed");
  }
  if (workers < 1) throw std::invalid_argument("a stage has at least one worker");
  line::post(line_, [name = std::string(stage), workers, workers_max](const run_target& running) {
    running.scale(name, workers, workers_max);
  });
  return true;
}

bool run_handle::drain() const {
  const std::lock_guard lock(line_->guard);
  if (line_->box == nullptr) return false;
  line::post(line_, [](const run_target& running) { running.drain(); });
  return true;
}

}  // namespace brigade
