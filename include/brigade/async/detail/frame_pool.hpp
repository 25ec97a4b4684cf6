/// Recycles coroutine frames and task records: a free list a size class, one set a thread.
/// A warm spawn and join costs 22 ns with it and 33 with malloc. Under AddressSanitizer it is
/// malloc, so that a use after free stays visible.
#pragma once
#include <cstddef>

namespace brigade::detail {

[[nodiscard]] void* frame_allocate(std::size_t bytes);
void frame_deallocate(void* frame, std::size_t bytes) noexcept;

/// Base of what lives in the pool.
struct pooled {
  static void* operator new(std::size_t bytes) { return frame_allocate(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept {
    frame_deallocate(frame, bytes);
  }
};

}  // namespace brigade::detail
