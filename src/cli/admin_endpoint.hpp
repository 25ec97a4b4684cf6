/// The key `admin` of a pipeline file, and what it asks for while a pipeline runs.
#pragma once
#include "cli/pipeline_config.hpp"
#include "cli/value_reader.hpp"

#include <brigade/pipeline/drain.hpp>
#include <brigade/pipeline/status.hpp>

#include <memory>
#include <optional>

namespace brigade::cli {

/// Nothing, and problems, when something is wrong with it.
[[nodiscard]] std::optional<admin_config> read_admin(value_reader& reader, const yaml_entry& entry);

/// Listens as long as it lives, where the file asks for it; says on stderr where.
class admin_endpoint {
 public:
  /// Throws std::runtime_error when it cannot listen. The signals outlive it, and are there first:
  /// its thread must not get any.
  admin_endpoint(const pipeline_config& config, const stop_signals& signals);
  ~admin_endpoint();
  admin_endpoint(const admin_endpoint&) = delete;
  admin_endpoint& operator=(const admin_endpoint&) = delete;

  /// What the run is to be seen on; null: nobody wants to know.
  [[nodiscard]] std::shared_ptr<status_board> board() const { return board_; }

 private:
  class server;
  std::shared_ptr<status_board> board_;
  std::unique_ptr<server> server_;
};

}  // namespace brigade::cli
