#include "cli/conditional_stage.hpp"

#include <brigade/connect/record.hpp>

namespace brigade::cli {

attempt_result conditional_stage::run_now(payload& item, const attempt_info& info) {
  return concerns(item) ? inner_->run_now(item, info) : attempt_result::unchanged();
}

task<attempt_result> conditional_stage::run(payload& item, const attempt_info& info) {
  if (!concerns(item)) co_return attempt_result::unchanged();
  co_return co_await inner_->run(item, info);
}

bool conditional_stage::concerns(const payload& item) {
  return when_.holds(item.get<record>().json_text());
}

}  // namespace brigade::cli
