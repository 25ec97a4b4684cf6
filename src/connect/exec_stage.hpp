/// The two bodies of stage `exec`, and what both are told.
#pragma once
#include "connect/exec_protocol.hpp"

#include <brigade/async/process.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/stage.hpp>

#include <memory>
#include <string>

namespace brigade::exec {

struct exec_options {
  explicit exec_options(process_options program_) : program(std::move(program_)) {}
  process_options program;
  std::string stage;  ///< its name, for the log
  int in_flight = 1;  ///< items a worker may have in work at once
  milliseconds timeout{0};
  std::size_t line_bytes_max = line_bytes_usual;  ///< of an answer, or of a command's output
};

/// "charge[worker 0]".
[[nodiscard]] std::string worker_label(const exec_options& options, int worker);

/// A handler process a worker, that lives on.
[[nodiscard]] std::unique_ptr<stage_body> make_ndjson_stage(exec_options options);
/// A process an item. Throws config_error when the command has a placeholder that cannot be.
[[nodiscard]] std::unique_ptr<stage_body> make_once_stage(exec_options options);

}  // namespace brigade::exec
