#include "cli/exit_code.hpp"
#include "cli/verbs.hpp"

#include <ostream>

namespace brigade::cli {

int report_verb(const report_options& options, std::ostream& out) {
  out << ledger_reader(options.ledger).run_report(options.run).text();
  return exit_ok;
}

}  // namespace brigade::cli
