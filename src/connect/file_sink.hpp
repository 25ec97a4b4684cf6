/// The sinks `file`, `stdout` and `null`.
#pragma once
#include "connect/file_handle.hpp"
#include "connect/file_rows.hpp"
#include "connect/guarded.hpp"

#include <brigade/pipeline/sink.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace brigade {

struct file_sink_options {
  std::string folder;  ///< a relative path is relative to it
  std::string path;    ///< as written, `{name}` and strftime's percent signs included
  std::string pipeline;
  row_format format = row_format::ndjson;
  std::vector<std::string> columns;  ///< of csv; none: see row_maker
  bool fsync = true;
};

/// A file that grows by whole batches. Blocks; one call at a time.
class growing_file {
 public:
  /// Opens `path`, or makes it. `token` is what `token()` gave last, in an earlier run: that file
  /// is cut to the length it had then, for what stands behind it was never recorded.
  /// Throws std::runtime_error with a message for the user.
  growing_file(std::string path, const std::string& token);

  /// Appends all of `text` or nothing, in an empty file behind `header`. Throws sink_down when
  /// there is no room, else fatal_error.
  void append(const std::string& header, const std::string& text, bool durable);
  /// Up to `bytes_max` bytes it begins with. Throws std::runtime_error.
  [[nodiscard]] std::string beginning(std::size_t bytes_max) const;
  [[nodiscard]] std::string token() const;

 private:
  void write(const std::string& text);
  [[noreturn]] void failed(const char* what, int error);
  std::string path_;
  file_handle file_;
  std::uint64_t length_ = 0;
};

class file_sink final : public sink {
 public:
  explicit file_sink(file_sink_options options)
      : options_(std::move(options)), rows_(options_.format, options_.columns) {}
  task<std::vector<partition_mark>> open(const sink_resume& resume) override;
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override;
  task<> close() override;
  [[nodiscard]] std::string first_token() const override;
  [[nodiscard]] bool wants_names() const override { return false; }
  [[nodiscard]] bool fails_in_order() const override { return true; }  // what fails, fails for good

 private:
  file_sink_options options_;
  row_maker rows_;
  std::shared_ptr<guarded<growing_file>> file_;
};

/// Writes rows to a descriptor from threads, one call at a time.
class row_stream;

class stdout_sink final : public sink {
 public:
  /// `fd` stays the caller's, and open.
  stdout_sink(row_format format, int fd, std::vector<std::string> columns = {});
  ~stdout_sink() override;
  task<std::vector<partition_mark>> open(const sink_resume& resume) override;
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override;
  [[nodiscard]] bool wants_names() const override { return false; }
  [[nodiscard]] bool fails_in_order() const override { return true; }

 private:
  row_maker rows_;
  std::shared_ptr<row_stream> stream_;
};

class null_sink final : public sink {
 public:
  task<std::vector<partition_mark>> open(const sink_resume& resume) override;
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override;
  [[nodiscard]] bool wants_names() const override { return false; }
  [[nodiscard]] bool fails_in_order() const override { return true; }
};

/// Where a path with `{name}` and strftime's percent signs leads now. Throws config_error on the
/// field `path` for any other word in braces.
[[nodiscard]] std::string expand_path(const std::string& path, const std::string& pipeline);

}  // namespace brigade
