// From the body of a request to its items.
#pragma once
#include "connect/http_request.hpp"

#include <brigade/connect/record.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

struct http_items {
  std::vector<record> items;
  bool is_batch = false;  ///< lines or an array, also of one
  unsigned status = 0;    ///< of a body that cannot be taken; 0: it can
  std::string error;      ///< and where it is wrong
};

/// All of the body's items, or none: a body with a mistake in it is refused as a whole. An item
/// keeps its bytes, but stands on one line.
[[nodiscard]] http_items items_of_body(http_body_kind kind, std::string_view body,
                                       std::size_t items_max);

}  // namespace brigade
