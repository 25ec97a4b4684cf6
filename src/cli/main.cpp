#include "cli/all_components.hpp"
#include "cli/exit_code.hpp"
#include "cli/verbs.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <iostream>
#include <variant>

namespace brigade::cli {
namespace {

class dispatcher {
 public:
  int operator()(const answer& given) const {
    (given.exit_code == exit_ok ? std::cout : std::cerr) << given.text;
    return given.exit_code;
  }
  int operator()(const run_options& given) const { return run_verb(given, all_components()); }
  int operator()(const check_options& given) const {
    return check_verb(given, all_components(), std::cout, std::cerr);
  }
  int operator()(const report_options& given) const { return report_verb(given, std::cout); }
  int operator()(const explain_options& given) const {
    return explain_verb(given, std::cout, std::cerr);
  }
  int operator()(const dlq_list_options& given) const { return dlq_list_verb(given, std::cout); }
  int operator()(const dlq_show_options& given) const { return dlq_show_verb(given, std::cout); }
  int operator()(const replay_options& given) const {
    return dlq_replay_verb(given, all_components());
  }
  int operator()(const dlq_drop_options& given) const {
    return dlq_drop_verb(given, std::cout, std::cerr);
  }
  int operator()(const graph_options& given) const {
    return graph_verb(given, all_components(), std::cout);
  }
  int operator()(const test_options& given) const {
    return test_verb(given, all_components(), std::cout);
  }
  int operator()(const list_options&) const { return list_verb(all_components(), std::cout); }
  int operator()(const help_options& given) const {
    return help_verb(given, all_components(), std::cout, std::cerr);
  }
  int operator()(const new_options& given) const {
    return new_verb(given, all_components(), std::cout, std::cerr);
  }
};

/// Where a standard stream was closed, the next file opened would take its number, and items or
/// messages would go into it. These refuse what the stream is for.
void occupy_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    const int placeholder = ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (placeholder < 0) return;
  }
}

/// What was asked for and could not be written is a failure, such as a file on a full disk.
int written(int exit_code) {
  if (std::cout.flush() || exit_code != exit_ok) return exit_code;
  std::cerr << "brigade: cannot write standard output\n";
  return exit_failed;
}

int run_program(int argc, char** argv) {
  try {
    return written(std::visit(dispatcher(), read_command_line(argc, argv)));
  } catch (const invalid_pipeline& error) {
    std::cerr << error.what() << '\n';
    return exit_invalid_pipeline;
  } catch (const std::exception& error) {
    std::cerr << "brigade: " << error.what() << '\n';
    return exit_failed;
  }
}

}  // namespace
}  // namespace brigade::cli

int main(int argc, char** argv) {
  brigade::cli::occupy_closed_streams();
  return brigade::cli::run_program(argc, argv);
}
