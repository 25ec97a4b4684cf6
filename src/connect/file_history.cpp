#include "connect/file_history.hpp"

#include "connect/file_handle.hpp"
#include "connect/file_names.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

namespace brigade {
namespace {

constexpr std::string_view second_form = "v2 ";
constexpr std::string_view explanation =
    "# brigade: files begun since the last start of this pipeline; it needs this list after a "
    "crash\n";

/// Reads numbers with a blank behind each, and texts of known lengths.
class reader {
 public:
  explicit reader(std::string_view text) : text_(text) {}
  template <class Number>
  reader& number(Number& to) {
    const auto read = std::from_chars(text_.data(), text_.data() + text_.size(), to);
    const auto length = static_cast<std::size_t>(read.ptr - text_.data());
    good_ = good_ && read.ec == std::errc{} && length < text_.size() && text_[length] == ' ';
    text_.remove_prefix(good_ ? length + 1 : text_.size());
    return *this;
  }
  reader& text(std::string& to, std::size_t length) {
    good_ = good_ && length <= text_.size();
    to = text_.substr(0, good_ ? length : 0);
    text_.remove_prefix(good_ ? length : text_.size());
    return *this;
  }
  reader& newline() {
    good_ = good_ && text_.starts_with('\n');
    text_.remove_prefix(good_ ? 1 : text_.size());
    return *this;
  }
  [[nodiscard]] bool is_good() const { return good_; }
  [[nodiscard]] std::string_view rest() const { return text_; }

 private:
  std::string_view text_;
  bool good_ = true;
};

template <class... Numbers>
std::string numbers(Numbers... each) {
  return ((std::to_string(each) + ' ') + ...);
}

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::system_error(error, std::generic_category(), what);
}

std::string line_of(const begun_file& file) {
  return numbers(file.generation, file.length, file.inode, int{file.is_new}, file.path.size()) +
         file.path + "\n";
}

bool write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t took = ::write(fd, text.data(), text.size());
    if (took < 0 && errno == EINTR) continue;
    if (took < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(took));
  }
  return true;
}

}  // namespace

std::string file_place::path() const { return numbered(stem, number); }

std::string file_place::encode() const {
  return std::string(second_form) + numbers(length, generation, number, begun, inode, stem.size()) +
         stem + list;
}

std::optional<file_place> file_place::decode(std::string_view token) {
  file_place place;
  if (!token.starts_with(second_form)) {  // `<length> <path>`
    reader old(token);
    old.number(place.length);
    place.stem = old.rest();
    if (!old.is_good() || place.stem.empty()) return std::nullopt;
    return place;
  }
  reader from(token.substr(second_form.size()));
  std::size_t stem_bytes = 0;
  from.number(place.length).number(place.generation).number(place.number);
  from.number(place.begun).number(place.inode).number(stem_bytes).text(place.stem, stem_bytes);
  place.list = from.rest();
  if (!from.is_good()) return std::nullopt;
  return place;
}

std::vector<begun_file> file_list::read(const std::string& path) {
  const file_handle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0 && (errno == ENOENT || errno == ENOTDIR)) return {};
  if (file.fd() < 0) fail("cannot read " + path, errno);
  const std::string all = file.read_at(0, file.size());
  std::string_view text = all;
  std::vector<begun_file> found;
  if (!text.starts_with(explanation)) return found;
  text.remove_prefix(explanation.size());
  for (;;) {
    begun_file next;
    int is_new = 0;
    std::size_t bytes = 0;
    reader from(text);
    from.number(next.generation).number(next.length).number(next.inode).number(is_new);
    from.number(bytes).text(next.path, bytes).newline();
    if (!from.is_good()) return found;
    next.is_new = is_new != 0;
    found.push_back(std::move(next));
    text = from.rest();
  }
}

void file_list::add(const begun_file& file) const {
  constexpr int how = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  const file_handle list(::open(path_.c_str(), how, 0666));
  if (list.fd() < 0) fail("cannot write " + path_, errno);
  const std::uint64_t before = list.size();
  const std::string text = (before == 0 ? std::string(explanation) : "") + line_of(file);
  if (!write_whole(list.fd(), text) || ::fdatasync(list.fd()) != 0) {
    const int error = errno;
    static_cast<void>(::ftruncate(list.fd(), static_cast<off_t>(before)));
    fail("cannot write " + path_, error);
  }
  if (before == 0) sync_folder_of(path_);
}

void file_list::remove(const std::string& path) {
  if (::unlink(path.c_str()) == 0) {
    sync_folder_of(path);
  } else if (errno != ENOENT && errno != ENOTDIR) {
    fail("cannot remove " + path, errno);
  }
}

const known_length& cut_to_make::of(std::uint64_t inode) const {
  const auto same = std::ranges::find(files, inode, &known_length::inode);
  return same != files.end() ? *same : *std::ranges::max_element(files, {}, &known_length::length);
}

std::vector<cut_to_make> cuts_of(const file_place& recorded, const std::vector<begun_file>& begun) {
  std::vector<cut_to_make> cuts;
  const auto add = [&](const std::string& path, const known_length& file) {
    auto named = std::ranges::find(cuts, path, &cut_to_make::path);
    if (named == cuts.end()) named = cuts.insert(cuts.end(), {path, {}});
    const auto same = std::ranges::find(named->files, file.inode, &known_length::inode);
    if (same == named->files.end()) {
      named->files.push_back(file);
    } else if (file.length < same->length) {
      same->length = file.length;
      same->is_recorded = false;
    }
  };
  if (!recorded.stem.empty()) add(recorded.path(), {recorded.inode, recorded.length, false, true});
  for (const begun_file& file : begun) {
    if (file.generation <= recorded.generation) continue;
    add(file.path, {file.inode, file.length, file.is_new, false});
  }
  return cuts;
}

}  // namespace brigade
