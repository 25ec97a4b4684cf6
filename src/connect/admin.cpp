#include "connect/admin_http.hpp"
#include "connect/admin_routes.hpp"

#include <brigade/connect/admin.hpp>
#include <brigade/pipeline/config_spec.hpp>

#include <algorithm>
#include <utility>

namespace brigade {

void check_admin_options(const admin_options& options) {
  const auto where = admin::parse_listen(options.listen);
  if (!where) {
    throw config_error("listen",
                       "'listen' must be an IP address and a port, such as "
                       "127.0.0.1:9464 or [::1]:9464, not '" +
                           options.listen + "'");
  }
  if (!where->is_loopback && options.token.empty()) {
    throw config_error("listen", "'listen' " + options.listen +
                                     " can be reached by others: give it a 'token', or listen on "
                                     "127.0.0.1:" +
                                     std::to_string(where->port));
  }
  const bool can_be_sent = std::all_of(options.token.begin(), options.token.end(),
                                       [](char c) { return c > ' ' && c < '\x7f'; });
  if (!can_be_sent) {
    throw config_error("token", "'token' must be of printable ASCII characters without blanks");
  }
  if (options.stuck_after.count() < 1000) {
    throw config_error("stuck_after", "'stuck_after' must be at least 1s");
  }
}

class admin_server::implementation {
 public:
  implementation(const admin_options& options, std::function<run_status()> look)
      : options_(checked(options)),
        look_(std::move(look)),
        server_(*admin::parse_listen(options_.listen), [this](const admin::http_request& request) {
          return admin::answer(request, options_, look_);
        }) {}
  [[nodiscard]] std::string address() const { return server_.address(); }

 private:
  static const admin_options& checked(const admin_options& options) {
    check_admin_options(options);
    return options;
  }
  admin_options options_;
  std::function<run_status()> look_;
  admin::http_server server_;  // the last: its thread uses the others
};

admin_server::admin_server(const admin_options& options, std::function<run_status()> look)
    : impl_(std::make_unique<implementation>(options, std::move(look))) {}
admin_server::~admin_server() = default;
std::string admin_server::address() const { return impl_->address(); }

}  // namespace brigade
