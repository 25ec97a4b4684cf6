/// Stage `exec`: the work is done by a program, in any language, one child process a worker.
///
/// With `protocol: ndjson` the child lives on and answers one request a line, in any order, up to
/// `in_flight` at once; with `once` there is a process for each item. A child that dies, hangs or
/// prints what is no answer costs only the item to blame an attempt, and is replaced.
/// Children run in the pipeline file's folder unless `cwd` says otherwise; they never outlive us.
#pragma once
#include <brigade/pipeline/registry.hpp>

namespace brigade {

void register_exec(registry& to);

}  // namespace brigade
