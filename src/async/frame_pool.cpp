#include <brigade/async/detail/frame_pool.hpp>

#include <array>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define BRIGADE_PLAIN_FRAMES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BRIGADE_PLAIN_FRAMES 1
#endif
#endif

namespace brigade::detail {

#if defined(BRIGADE_PLAIN_FRAMES)

void* frame_allocate(std::size_t bytes) { return ::operator new(bytes); }
void frame_deallocate(void* frame, std::size_t) noexcept { ::operator delete(frame); }

#else

namespace {

constexpr std::size_t class_bytes = 8;
constexpr std::size_t class_count = 256;
constexpr std::size_t aligned_bytes = 16;
constexpr std::size_t chunk_bytes = std::size_t{64} << 10;

struct free_frame {
  free_frame* next;
};

/// To cut frames from.
struct room {
  char* at = nullptr;
  char* end = nullptr;
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end - at); }
};

struct thread_pool_of_frames {
  free_frame* free[class_count] = {};
  /// The sizes that are a multiple of 16 have one by themselves, so that they are aligned to 16.
  room rooms[2] = {};

  void* cut(std::size_t index) {
    room& from = rooms[index % 2];
    return std::exchange(from.at, from.at + index * class_bytes);
  }
};
constinit thread_local thread_pool_of_frames pool;

// Chunks live as long as the process: a frame may be freed on another thread than it came from.
// What a thread has free when it ends is for those that come after it.
class all_chunks {
 public:
  static all_chunks& instance() {
    static auto* chunks = new all_chunks;
    return *chunks;
  }
  /// What an ended thread left of this size; else a room to cut frames from.
  free_frame* frame_or_room(std::size_t index) {
    const std::lock_guard lock(mutex_);
    if (!left_[index].empty()) {
      free_frame* frames = left_[index].back();
      left_[index].pop_back();
      return frames;
    }
    if (rooms_.empty()) {
      auto* chunk = static_cast<char*>(::operator new(chunk_bytes));
      chunks_.push_back(chunk);
      rooms_.push_back({chunk, chunk + chunk_bytes});
    }
    pool.rooms[index % 2] = rooms_.back();
    rooms_.pop_back();
    return nullptr;
  }
  void leave_what_is_free() {
    const std::lock_guard lock(mutex_);
    for (std::size_t index = 1; index < class_count; ++index) {
      free_frame* const frames = std::exchange(pool.free[index], nullptr);
      if (frames != nullptr) left_[index].push_back(frames);
    }
    for (room& mine : pool.rooms) {
      room left = std::exchange(mine, {});
      if (left.left() < class_count * class_bytes) continue;  // which fits any
      left.at += left.left() % aligned_bytes;
      rooms_.push_back(left);
    }
  }

 private:
  std::mutex mutex_;
  std::vector<char*> chunks_;  // so that they count as reachable
  std::vector<room> rooms_;
  std::array<std::vector<free_frame*>, class_count> left_;
};

struct leaver {
  ~leaver() { all_chunks::instance().leave_what_is_free(); }
};

[[gnu::noinline]] void* first_from_others(std::size_t index) {
  static thread_local const leaver at_the_end;
  static_cast<void>(&at_the_end);
  free_frame* const frame = all_chunks::instance().frame_or_room(index);
  if (frame == nullptr) return pool.cut(index);
  pool.free[index] = frame->next;
  return frame;
}

}  // namespace

void* frame_allocate(std::size_t bytes) {
  const std::size_t index = (bytes + class_bytes - 1) / class_bytes;
  if (index >= class_count) return ::operator new(bytes);
  if (free_frame* frame = pool.free[index]) {
    pool.free[index] = frame->next;
    return frame;
  }
  if (pool.rooms[index % 2].left() < index * class_bytes) [[unlikely]]
    return first_from_others(index);
  return pool.cut(index);
}

void frame_deallocate(void* frame, std::size_t bytes) noexcept {
  const std::size_t index = (bytes + class_bytes - 1) / class_bytes;
  if (index >= class_count) {
    ::operator delete(frame);
    return;
  }
  auto* node = static_cast<free_frame*>(frame);
  node->next = pool.free[index];
  pool.free[index] = node;
}

#endif

}  // namespace brigade::detail
