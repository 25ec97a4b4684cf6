// Takes what is put into a folder to a courier, until SIGTERM: deliver FOLDER PORT.
#include "courier_sink.hpp"
#include "spool_source.hpp"

#include <brigade/pipeline/drain.hpp>
#include <brigade/pipeline/ledger.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: deliver FOLDER PORT\n");
    return 64;
  }
  std::signal(SIGPIPE, SIG_IGN);
  try {
    brigade::pipeline_plan plan;
    plan.name = "deliver";
    plan.from = std::make_unique<spool_source>("spool", arguments[1]);
    plan.to = std::make_unique<courier_sink>(static_cast<std::uint16_t>(std::atoi(arguments[2])));

    brigade::stop_signals signals(plan.rules.stop_timeout);
    const auto account =
        brigade::ledger::open(brigade::ledger_options("deliver.ledger.db", plan.name));
    brigade::recorded_run run(std::move(plan));
    run.account = account.get();
    run.signals = &signals;
    const brigade::report done = run_recorded(std::move(run));
    std::printf("%s\n", done.text().c_str());
    return done.exit_code;
  } catch (const std::exception& wrong) {
    std::fprintf(stderr, "deliver: %s\n", wrong.what());
    return 1;
  }
}
