/// A disk under SQLite whose fsync can be made to fail, and which counts what is written after
/// that; or which is full, or slow, for a while. It knows whether something was written and not
/// synced.
#pragma once
#include <sqlite3.h>

#include <atomic>
#include <cstring>

namespace brigade {

/// The default of the process while it exists; one at a time.
class failing_vfs {
 public:
  failing_vfs() {
    real() = sqlite3_vfs_find(nullptr);
    vfs_ = *real();
    vfs_.zName = "failing";
    vfs_.szOsFile = static_cast<int>(sizeof(file)) + real()->szOsFile;
    vfs_.xOpen = &open;
    sqlite3_vfs_register(&vfs_, 1);
    fails() = is_full() = is_held() = false;
    writes_after_failure() = 0;
  }
  failing_vfs(const failing_vfs&) = delete;
  failing_vfs& operator=(const failing_vfs&) = delete;
  ~failing_vfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real(), 1);
  }

  /// From now on every fsync fails.
  static void fail_syncs() { fails() = true; }
  /// From now on there is no room, or some again.
  static void be_full(bool yes) { is_full() = yes; }
  /// From now on every fsync waits, or goes on.
  static void hold_syncs(bool yes) {
    is_held() = yes;
    is_held().notify_all();
  }
  [[nodiscard]] static bool has_unsynced() { return unsynced(); }
  /// Writes, truncations and further fsyncs after the first fsync that failed.
  static int touched_after_failure() { return writes_after_failure() - 1; }

 private:
  struct file {
    sqlite3_file base;
    sqlite3_file* real;
  };
  static sqlite3_vfs*& real() {
    static sqlite3_vfs* vfs = nullptr;
    return vfs;
  }
  static std::atomic<bool>& fails() {
    static std::atomic<bool> value{false};
    return value;
  }
  static std::atomic<bool>& is_held() {
    static std::atomic<bool> value{false};
    return value;
  }
  static std::atomic<bool>& unsynced() {
    static std::atomic<bool> value{false};
    return value;
  }
  static std::atomic<bool>& is_full() {
    static std::atomic<bool> value{false};
    return value;
  }
  static std::atomic<int>& writes_after_failure() {
    static std::atomic<int> value{0};
    return value;
  }
  static std::atomic<bool>& has_failed() {
    static std::atomic<bool> value{false};
    return value;
  }
  static sqlite3_file* of(sqlite3_file* outer) { return reinterpret_cast<file*>(outer)->real; }
  static void count() {
    if (has_failed()) ++writes_after_failure();
  }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* outer, int flags, int* out) {
    file* made = reinterpret_cast<file*>(outer);
    made->real = reinterpret_cast<sqlite3_file*>(made + 1);
    has_failed() = false;
    const int code = real()->xOpen(real(), name, made->real, flags, out);
    made->base.pMethods = made->real->pMethods == nullptr ? nullptr : methods();
    return code;
  }
  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods table = {
        3,
        [](sqlite3_file* on) { return of(on)->pMethods->xClose(of(on)); },
        [](sqlite3_file* on, void* to, int size, sqlite3_int64 at) {
          return of(on)->pMethods->xRead(of(on), to, size, at);
        },
        [](sqlite3_file* on, const void* from, int size, sqlite3_int64 at) {
          count();
          if (is_full()) return SQLITE_FULL;
          unsynced() = true;
          return of(on)->pMethods->xWrite(of(on), from, size, at);
        },
        [](sqlite3_file* on, sqlite3_int64 size) {
          count();
          return of(on)->pMethods->xTruncate(of(on), size);
        },
        [](sqlite3_file* on, int flags) {
          is_held().wait(true);
          if (!fails()) {
            unsynced() = false;
            return of(on)->pMethods->xSync(of(on), flags);
          }
          has_failed() = true;
          count();
          return SQLITE_IOERR_FSYNC;
        },
        [](sqlite3_file* on, sqlite3_int64* size) {
          return of(on)->pMethods->xFileSize(of(on), size);
        },
        [](sqlite3_file* on, int level) { return of(on)->pMethods->xLock(of(on), level); },
        [](sqlite3_file* on, int level) { return of(on)->pMethods->xUnlock(of(on), level); },
        [](sqlite3_file* on, int* out) {
          return of(on)->pMethods->xCheckReservedLock(of(on), out);
        },
        [](sqlite3_file* on, int op, void* arg) {
          return of(on)->pMethods->xFileControl(of(on), op, arg);
        },
        [](sqlite3_file* on) { return of(on)->pMethods->xSectorSize(of(on)); },
        [](sqlite3_file* on) { return of(on)->pMethods->xDeviceCharacteristics(of(on)); },
        [](sqlite3_file* on, int page, int size, int extend, void volatile** to) {
          return of(on)->pMethods->xShmMap(of(on), page, size, extend, to);
        },
        [](sqlite3_file* on, int offset, int n, int flags) {
          return of(on)->pMethods->xShmLock(of(on), offset, n, flags);
        },
        [](sqlite3_file* on) { of(on)->pMethods->xShmBarrier(of(on)); },
        [](sqlite3_file* on, int remove) { return of(on)->pMethods->xShmUnmap(of(on), remove); },
        [](sqlite3_file* on, sqlite3_int64 at, int size, void** to) {
          return of(on)->pMethods->xFetch(of(on), at, size, to);
        },
        [](sqlite3_file* on, sqlite3_int64 at, void* from) {
          return of(on)->pMethods->xUnfetch(of(on), at, from);
        }};
    return &table;
  }

  sqlite3_vfs vfs_{};
};

}  // namespace brigade
