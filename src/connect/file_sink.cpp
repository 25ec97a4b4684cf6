#include "connect/file_sink.hpp"

#include <brigade/async/thread.hpp>

#include <filesystem>
#include <stdexcept>

namespace brigade {
namespace {

struct opened_file {
  std::shared_ptr<guarded<file_output>> file;
  row_maker rows;
};

opened_file open_file(const file_output_options& options, const std::string& token,
                      row_maker rows) {
  opened_file opened{std::make_shared<guarded<file_output>>(options, token), std::move(rows)};
  if (!opened.rows.needs_header()) return opened;
  const file_output& file = opened.file->object;
  try {
    opened.rows.go_on(file.beginning(row_maker::header_bytes_max));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(file.path() + " " + error.what());
  }
  return opened;
}

void append(file_output& file, const std::string& header, const std::string& text) {
  file.append(text, true, header);
}

}  // namespace

task<std::vector<partition_mark>> file_sink::open(const sink_resume& resume) {
  const std::filesystem::path folder(without_meaning_to_strftime(options_.folder));
  file_output_options output;
  output.pattern = (folder / fill_in_name(options_.path, options_.pipeline)).lexically_normal();
  output.owner = resume.pipeline;
  output.bytes_max = options_.rotate_bytes;
  output.every = options_.rotate_every;
  output.now = options_.now;
  output.all_recorded = resume.ended_well;
  output.check_header = &check_header;
  auto call = to_thread(&open_file, std::move(output), resume.token, rows_);
  opened_file opened = co_await std::move(call);
  file_ = std::move(opened.file);
  rows_ = std::move(opened.rows);
  co_return std::vector<partition_mark>{};
}

task<write_result> file_sink::write(std::span<const sink_item> batch,
                                    std::span<const partition_mark>) {
  rows made = rows_.make(batch);
  if (options_.fsync) {
    auto call = call_guarded(file_, &append, rows_.header(), std::move(made.text));
    co_await std::move(call);
  } else {
    file_->object.append(made.text, false, rows_.header());
  }
  write_result result;
  result.failures = std::move(made.failures);
  result.token = file_->object.token();
  co_return result;
}

task<> file_sink::close() {
  file_.reset();
  co_return;
}

std::string file_sink::first_token() const { return file_ ? file_->object.token() : std::string{}; }

}  // namespace brigade
