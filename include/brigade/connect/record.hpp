/// An item of the program `brigade`: text with a shape, shared and never changed.
///
/// A line of a log is kept as it was read; as JSON it is `{"line":"..."}`. Whatever is JSON is kept
/// as its original bytes, so that numbers and spelling survive the stages that do not change it.
///
/// As text (in a dead letter) a record reads back exactly as it was. No JSON value begins like the
/// other forms, so nothing needs quoting twice:
///
///   {"total": 5}               a JSON value is itself
///   line:GET / 200             a line of printable UTF-8
///   bytes:caf\xe9 \\ \x00      any other line: \xNN for what is no printable UTF-8, \\ for a \ .
///   cut:5000000@123:GET ...    the beginning of a line of 5000000 bytes at offset 123 that was too
///                              long to be held; what follows the second colon is as in `bytes:`
///
/// Thread safety: immutable, may be read from several threads. Copying shares the text.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace brigade {

namespace detail {

/// Bytes that never change, beside the number of their owners: one piece of memory, so that a line
/// costs one allocation. Thread safety: of each owner none, between owners all.
class shared_bytes {
 public:
  explicit shared_bytes(std::string_view bytes);
  shared_bytes(const shared_bytes& other) noexcept : held_(other.held_) {
    held_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  shared_bytes(shared_bytes&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  shared_bytes& operator=(shared_bytes other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~shared_bytes() {
    if (held_ != nullptr) let_go();
  }
  [[nodiscard]] std::string_view view() const {
    return {reinterpret_cast<const char*>(held_ + 1), held_->size};
  }

 private:
  struct header {
    explicit header(std::size_t size_) : size(size_) {}
    std::atomic<std::size_t> owners = 1;
    std::size_t size;
  };
  void let_go() noexcept;
  header* held_;
};

}  // namespace detail

class record {
 public:
  enum class shape : std::uint8_t {
    line,  ///< bytes as they were read
    json,  ///< a JSON value
    cut,   ///< the first bytes of a line that was too long to be held
  };

  static record line(std::string_view text) { return record(shape::line, text); }
  /// `text` is a JSON value, UTF-8, without a newline; whoever calls has seen to that.
  static record json(std::string_view text) { return record(shape::json, text); }
  static record cut(std::string_view beginning, std::uint64_t whole_bytes, std::uint64_t offset) {
    record result(shape::cut, beginning);
    result.whole_bytes_ = whole_bytes;
    result.offset_ = offset;
    return result;
  }

  [[nodiscard]] shape what() const { return shape_; }
  /// The line, its beginning, or the JSON value, as it is.
  [[nodiscard]] std::string_view raw() const { return text_.view(); }
  /// As one JSON value. Throws permanent_error when a line is not valid UTF-8, or cut.
  [[nodiscard]] std::string json_text() const;
  /// Appends `json_text()` to `to`; when it throws, `to` is as it was.
  void append_json_text(std::string& to) const;

  /// Of a cut line: how long it was, and where it began.
  [[nodiscard]] std::uint64_t whole_bytes() const { return whole_bytes_; }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }

  /// What a dead letter stores, and how it is read back.
  friend std::string text_of(const record& value);
  static record from_text(std::string_view stored);
  friend std::size_t size_in_bytes(const record& value) {
    return sizeof(record) + value.raw().size();
  }

 private:
  record(shape what, std::string_view text) : text_(text), shape_(what) {}
  detail::shared_bytes text_;
  std::uint64_t whole_bytes_ = 0;
  std::uint64_t offset_ = 0;
  shape shape_;
};
// Found by ADL; declared here too, so that it can be named.
std::string text_of(const record& value);

/// How many bytes of `text`, from its beginning, are well-formed UTF-8: all of them, or the offset
/// of the first sequence that is not.
[[nodiscard]] std::size_t valid_utf8_prefix(std::string_view text);
/// True when `text` is well-formed UTF-8.
[[nodiscard]] bool valid_utf8(std::string_view text);
/// `text` as a JSON string with its quotes; `text` must be valid UTF-8.
[[nodiscard]] std::string json_quoted(std::string_view text);
/// Appends `json_quoted(text)` to `to`.
void append_json_quoted(std::string& to, std::string_view text);
/// `text` for a message: at most `bytes_max` bytes of it, whatever it holds, on one line.
[[nodiscard]] std::string excerpt(std::string_view text, std::size_t bytes_max = 80);

}  // namespace brigade
