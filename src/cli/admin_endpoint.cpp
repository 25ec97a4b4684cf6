#include "cli/admin_endpoint.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>

#if BRIGADE_HAS_ADMIN
#include <brigade/connect/admin.hpp>
#include <brigade/pipeline/config_spec.hpp>
#endif

namespace brigade::cli {

#if BRIGADE_HAS_ADMIN

namespace {

admin_options options_of(const admin_config& config) {
  admin_options options(config.listen);
  options.token = config.token;
  options.hosts = config.hosts;
  options.stuck_after = config.stuck_after;
  return options;
}

}  // namespace

std::optional<admin_config> read_admin(value_reader& reader, const yaml_entry& entry) {
  static constexpr std::array<std::string_view, 4> keys = {"listen", "token", "hosts",
                                                           "stuck_after"};
  const std::size_t problems_before = reader.problem_count();
  if (!reader.is_map("admin", entry.value)) return std::nullopt;
  reader.keys_are_known(entry.value, keys, "'admin'");
  admin_config config;
  if (const yaml_entry* const listen = entry.value.find("listen")) {
    config.listen = reader.text("listen", listen->value).value_or("");
  } else {
    reader.problem(entry.at, "'admin' needs 'listen', such as 127.0.0.1:9464");
  }
  if (const yaml_entry* const token = entry.value.find("token")) {
    config.token = reader.text("token", token->value).value_or("");
    if (token->value.what == yaml_node::kind::scalar && config.token.empty()) {
      reader.problem(token->value.at, "'token' is empty: leave it out, or give it a value");
    }
  }
  if (const yaml_entry* const hosts = entry.value.find("hosts")) {
    config.hosts = reader.text_list("hosts", hosts->value).value_or(std::vector<std::string>{});
  }
  if (const yaml_entry* const stuck = entry.value.find("stuck_after")) {
    config.stuck_after = reader.duration("stuck_after", stuck->value).value_or(config.stuck_after);
  }
  if (reader.problem_count() != problems_before) return std::nullopt;
  try {
    check_admin_options(options_of(config));
  } catch (const config_error& error) {
    const yaml_entry* const about = entry.value.find(error.field());
    reader.problem(about == nullptr ? entry.at : about->value.at, error.what());
    return std::nullopt;
  }
  return config;
}

class admin_endpoint::server {
 public:
  server(const admin_config& config, std::string pipeline, std::shared_ptr<status_board> board,
         const stop_signals& signals)
      : admin_(options_of(config), [pipeline = std::move(pipeline), board = std::move(board),
                                    &signals] { return look(pipeline, *board, signals); }) {}
  [[nodiscard]] std::string address() const { return admin_.address(); }

 private:
  /// The run may not have begun, or be too busy to hear of a signal.
  static run_status look(const std::string& pipeline, const status_board& board,
                         const stop_signals& signals) {
    run_status now = board.look();
    now.pipeline = pipeline;
    const bool stopping = now.phase < status_phase::draining && signals.stop_asked();
    if (stopping) now.phase = status_phase::draining;
    return now;
  }
  admin_server admin_;
};

admin_endpoint::admin_endpoint(const pipeline_config& config, const stop_signals& signals) {
  if (!config.admin) return;
  board_ = std::make_shared<status_board>();
  server_ = std::make_unique<server>(*config.admin, config.name, board_, signals);
  std::fputs(fmt::format("{}: admin endpoint: http://{}/status\n", config.name, server_->address())
                 .c_str(),
             stderr);
}

#else

std::optional<admin_config> read_admin(value_reader& reader, const yaml_entry& entry) {
  reader.problem(entry.at,
                 "'admin': this program was built without prometheus-cpp, and has no "
                 "admin endpoint");
  return std::nullopt;
}

class admin_endpoint::server {};

admin_endpoint::admin_endpoint(const pipeline_config&, const stop_signals&) {}

#endif

admin_endpoint::~admin_endpoint() = default;

}  // namespace brigade::cli
