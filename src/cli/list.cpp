#include "cli/component_text.hpp"
#include "cli/exit_code.hpp"
#include "cli/verbs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace brigade::cli {

int list_verb(const registry& known, std::ostream& out) {
  std::size_t width = 0;
  for (const component& one : known.all()) width = std::max(width, one.name.size());
  for (const auto kind : {component_kind::source, component_kind::stage, component_kind::sink}) {
    out << fmt::format("{}s\n", to_string(kind));
    for (const component* const one : components_of(known, kind)) {
      out << fmt::format("  {:<{}}  {}\n", one->name, width, one->doc);
    }
    out << '\n';
  }
  out << "brigade help COMPONENT  has the fields of each\n"
         "brigade new COMPONENT... prints a pipeline file to start from\n";
  return exit_ok;
}

}  // namespace brigade::cli
