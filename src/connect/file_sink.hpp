/// The sinks `file`, `stdout` and `null`.
#pragma once
#include "connect/file_output.hpp"
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
  std::uint64_t rotate_bytes = 0;        ///< 0: no limit
  std::chrono::seconds rotate_every{0};  ///< 0: as long as the file's name stays
  std::function<std::time_t()> now = [] { return std::time(nullptr); };
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
  std::shared_ptr<guarded<file_output>> file_;
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

}  // namespace brigade
