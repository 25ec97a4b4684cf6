#include <brigade/async/detail/frame_pool.hpp>

#include <sys/mman.h>

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

constexpr std::size_t class_bytes = 8;
constexpr std::size_t class_count = 256;
constexpr std::size_t chunk_bytes = std::size_t{64} << 10;
constexpr std::size_t huge_chunk_bytes = std::size_t{2} << 20;
constexpr int small_chunks_max = 16;

struct free_frame {
  free_frame* next;
};

// Chunks live as long as the process: a frame may be freed on another thread than it came from.
void* keep(void* chunk) {
  static std::mutex guard;
  static auto* chunks = new std::vector<void*>;
  const std::lock_guard lock(guard);
  chunks->push_back(chunk);
  return chunk;
}

// A thread with many tasks gets its memory in huge pages where the system has them to give: most of
// what a cold task costs is page faults (W6a 147 ns without, 50 to 77 with).
void* new_huge_chunk() {
  void* chunk = ::operator new(huge_chunk_bytes, std::align_val_t{huge_chunk_bytes});
  ::madvise(chunk, huge_chunk_bytes, MADV_HUGEPAGE);  // a wish
  return keep(chunk);
}

struct room_left {
  char* at = nullptr;
  char* end = nullptr;
};

struct thread_pool_of_frames {
  free_frame* free[class_count] = {};
  /// The multiples of 16 by themselves, so that they are aligned to 16; the others need not be.
  room_left rooms[2] = {};
  int small_chunks = 0;

  void grow(room_left& room) {
    const bool small = small_chunks < small_chunks_max;
    if (small) ++small_chunks;
    room.at = static_cast<char*>(small ? keep(::operator new(chunk_bytes)) : new_huge_chunk());
    room.end = room.at + (small ? chunk_bytes : huge_chunk_bytes);
  }
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
  const std::size_t needed = index * class_bytes;
  room_left& room = pool.rooms[index % 2];
  if (static_cast<std::size_t>(room.end - room.at) < needed) pool.grow(room);
  void* frame = room.at;
  room.at += needed;
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
