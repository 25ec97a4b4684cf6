/// An item of the program `brigade`: text with a shape, shared and never changed.
///
/// A line of a log is kept as it was read; as JSON it is `{"line": "..."}`. Whatever is JSON is kept
/// as its original bytes, so that numbers and spelling survive the stages that do not change it.
///
/// Thread safety: immutable, may be read from several threads. Copying shares the text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace brigade {

class record {
 public:
  enum class shape : std::uint8_t { line, json };

  static record line(std::string text) { return record(shape::line, std::move(text)); }
  /// `text` is a JSON value, UTF-8, without a newline; whoever calls has seen to that.
  static record json(std::string text) { return record(shape::json, std::move(text)); }

  [[nodiscard]] shape what() const { return shape_; }
  /// The line, or the JSON value, as it is.
  [[nodiscard]] std::string_view raw() const { return *text_; }
  /// As one JSON value. Throws permanent_error when a line is not valid UTF-8.
  [[nodiscard]] std::string json_text() const;
  /// What a dead letter stores, and how it is read back.
  friend std::string text_of(const record& value);
  static record from_text(std::string_view stored);
  friend std::size_t size_in_bytes(const record& value) {
    return sizeof(record) + value.text_->size();
  }

 private:
  record(shape what, std::string text)
      : shape_(what), text_(std::make_shared<const std::string>(std::move(text))) {}
  shape shape_;
  std::shared_ptr<const std::string> text_;
};

/// True when `text` is well-formed UTF-8.
[[nodiscard]] bool valid_utf8(std::string_view text);
/// `text` as a JSON string with its quotes; `text` must be valid UTF-8.
[[nodiscard]] std::string json_quoted(std::string_view text);

}  // namespace brigade
