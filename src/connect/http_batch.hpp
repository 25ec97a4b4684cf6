/// Several items in one request, and what an answer says of each. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::http {

enum class body_format : std::uint8_t {
  json,    ///< one item a request
  ndjson,  ///< one a line
  array,   ///< a JSON array of them
};

/// A body that items are added to.
class body_writer {
 public:
  explicit body_writer(body_format format) : format_(format) {}
  /// Appends what `append_json` appends; when that throws, the body is as it was.
  template <class Item>
  void add(const Item& item) {
    if (format_ == body_format::array) text_ += count_ == 0 ? '[' : ',';
    try {
      item.append_json_text(text_);
    } catch (...) {
      if (format_ == body_format::array) text_.pop_back();
      throw;
    }
    if (format_ == body_format::ndjson) text_ += '\n';
    ++count_;
  }
  [[nodiscard]] std::string finished() && {
    if (format_ == body_format::array) text_ += ']';
    return std::move(text_);
  }
  [[nodiscard]] bool empty() const { return count_ == 0; }

 private:
  body_format format_;
  std::string text_;
  std::size_t count_ = 0;
};

/// Of one item of a request.
struct item_status {
  int status = 0;
  std::string error = {};  ///< for people, one line
};

/// The answer's statuses, one an item: a JSON array of objects with a `status`, and an `error`
/// where there is one. Nothing when it is not that, or not of so many items.
[[nodiscard]] std::optional<std::vector<item_status>> read_statuses(std::string_view body,
                                                                    std::size_t items);

/// A key for several items together: the same for the same keys in the same order.
[[nodiscard]] std::string key_of_all(std::span<const std::string_view> keys);

}  // namespace brigade::http
