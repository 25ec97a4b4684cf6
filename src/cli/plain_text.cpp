#include "cli/plain_text.hpp"

namespace brigade::cli {

std::string plain_line(std::string_view text, std::size_t bytes_max) {
  std::string line(text.substr(0, bytes_max));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  if (text.size() > bytes_max) line += "...";
  return line;
}

}  // namespace brigade::cli
