/// One program a ledger: a lock on a file beside it, which holds the owner's process id.
///
/// The kernel drops the lock with the process, however it ends; the file stays and means nothing.
/// The id stands in the file because this kind of lock (of the open file, not of the process)
/// reports no owner. Child processes do not inherit it.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace brigade::ledger_detail {

class ledger_lock {
 public:
  /// Throws ledger_error: naming the owner's process id when there is one, else what went wrong.
  explicit ledger_lock(const std::filesystem::path& ledger);
  ledger_lock(const ledger_lock&) = delete;
  ledger_lock& operator=(const ledger_lock&) = delete;
  ~ledger_lock();

  /// True while some program holds the lock. Takes nothing.
  [[nodiscard]] static bool is_held(const std::filesystem::path& ledger);

 private:
  int file_;
};

}  // namespace brigade::ledger_detail
