#include <brigade/pipeline/pipeline.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <optional>
#include <utility>

namespace brigade {

task<> detail::memory_source::open(std::vector<partition_mark> resume, std::string) {
  for (partition_mark& known : resume) {
    if (known.partition == partitions_.front()) done_ = std::move(known.at);
  }
  co_return;
}

report ready_pipeline::run() {
  std::optional<stop_signals> signals;
  if (signals_) signals.emplace(plan_.rules.stop_timeout);
  std::unique_ptr<brigade::ledger> account;
  if (!ledger_path_.empty()) {
    account = brigade::ledger::open(ledger_options(ledger_path_, plan_.name));
  }
  recorded_run whole(std::move(plan_));
  whole.account = account.get();
  whole.signals = signals ? &*signals : nullptr;
  return run_recorded(std::move(whole));
}

}  // namespace brigade
