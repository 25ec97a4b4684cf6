#include "cli/all_components.hpp"

#include "cli/fork_components.hpp"

#include <brigade/connect/exec.hpp>
#include <brigade/connect/file.hpp>
#include <brigade/connect/generate.hpp>
#include <brigade/connect/http.hpp>
#include <brigade/connect/jq.hpp>
#include <brigade/connect/parse.hpp>
#if BRIGADE_HAS_POSTGRES
#include <brigade/connect/postgres.hpp>
#endif
#include <brigade/connect/socket.hpp>
#include <brigade/connect/sqlite.hpp>

namespace brigade::cli {

const registry& all_components() {
  static const registry components = [] {
    registry made;
    register_file(made);
    register_generate(made);
    register_exec(made);
    register_http(made);
    register_jq(made);
    register_forks(made);
    register_parse(made);
    register_socket(made);
    register_sqlite(made);
#if BRIGADE_HAS_POSTGRES
    register_postgres(made);
#endif
    return made;
  }();
  return components;
}

}  // namespace brigade::cli
