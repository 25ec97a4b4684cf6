#include <brigade/async/detail/frame_pool.hpp>

#include <cstdlib>
#include <mutex>
#include <new>
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

constexpr std::size_t class_bytes = 16;
constexpr std::size_t class_count = 128;
constexpr std::size_t chunk_bytes = std::size_t{64} << 10;

struct free_frame {
  free_frame* next;
};

// Chunks live as long as the process: a frame may be freed on another thread than it came from.
void* new_chunk() {
  static std::mutex guard;
  static auto* chunks = new std::vector<void*>;
  void* chunk = ::operator new(chunk_bytes);
  const std::lock_guard lock(guard);
  chunks->push_back(chunk);
  return chunk;
}

struct thread_pool_of_frames {
  free_frame* free[class_count] = {};
  char* at = nullptr;
  char* end = nullptr;
};
constinit thread_local thread_pool_of_frames pool;

}  // namespace

void* frame_allocate(std::size_t bytes) {
  const std::size_t index = (bytes + class_bytes - 1) / class_bytes;
  if (index >= class_count) return ::operator new(bytes);
  if (free_frame* frame = pool.free[index]) {
    pool.free[index] = frame->next;
    return frame;
  }
  const std::size_t room = index * class_bytes;
  if (static_cast<std::size_t>(pool.end - pool.at) < room) {
    pool.at = static_cast<char*>(new_chunk());
    pool.end = pool.at + chunk_bytes;
  }
  void* frame = pool.at;
  pool.at += room;
  return frame;
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
