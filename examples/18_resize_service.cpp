// A service that halves pictures: work that keeps a CPU busy, on threads of its own.
//
//   uploads ──> halve (2 threads) ──> store         health: asked every 5 ms
//
// The loop answers meanwhile. Some pictures are corrupt. Health follows what gets done, not what is
// busy, so that nobody restarts it for working hard.
#include <brigade/async.hpp>
#include <brigade/pipeline.hpp>

#include <png.h>

#include <cstdio>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace brigade;
using namespace std::chrono_literals;

using bytes = std::vector<unsigned char>;

struct picture {
  int width;
  int height;
  bytes grey;  // a byte a pixel
};

// libpng's simple interface: an image, and a message when something is wrong.
class png {
 public:
  png() {
    std::memset(&image_, 0, sizeof image_);
    image_.version = PNG_IMAGE_VERSION;
  }
  ~png() { png_image_free(&image_); }
  png(const png&) = delete;
  png& operator=(const png&) = delete;

  picture read(const bytes& file) {
    check(png_image_begin_read_from_memory(&image_, file.data(), file.size()));
    image_.format = PNG_FORMAT_GRAY;
    picture result{static_cast<int>(image_.width), static_cast<int>(image_.height), {}};
    result.grey.resize(PNG_IMAGE_SIZE(image_));
    check(png_image_finish_read(&image_, nullptr, result.grey.data(), 0, nullptr));
    return result;
  }
  bytes write(const picture& from) {
    image_.width = static_cast<png_uint_32>(from.width);
    image_.height = static_cast<png_uint_32>(from.height);
    image_.format = PNG_FORMAT_GRAY;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image_);
    bytes file(size);
    check(png_image_write_to_memory(&image_, file.data(), &size, 0, from.grey.data(), 0, nullptr));
    file.resize(size);
    return file;
  }

 private:
  void check(int good) const {
    if (good == 0) throw permanent_error(image_.message);  // trying again does not help
  }
  png_image image_;
};

bytes halve(const bytes& file) {
  const picture whole = png().read(file);
  picture half{whole.width / 2, whole.height / 2, {}};
  for (int y = 0; y < half.height; ++y) {
    for (int x = 0; x < half.width; ++x) {
      const auto at = [&](int dx, int dy) {
        return whole.grey[static_cast<std::size_t>((2 * y + dy) * whole.width + 2 * x + dx)];
      };
      half.grey.push_back(
          static_cast<unsigned char>((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4));
    }
  }
  return png().write(half);
}

std::vector<bytes> uploads() {
  picture chequered{256, 256, {}};
  for (int n = 0; n < 256 * 256; ++n) {
    chequered.grey.push_back(
        static_cast<unsigned char>((n / 8 + n / 2048) % 2 == 0 ? 255 : n % 97));
  }
  const bytes good = png().write(chequered);
  std::vector<bytes> files(60, good);
  files[20].resize(good.size() / 3);  // cut off
  files[40][40] ^= 0x55;              // a checksum that is wrong
  return files;
}

task<> serve(task_group& group) {
  std::vector<std::size_t> sizes;
  const pipeline_run service =
      pipeline("resize")
          .from(uploads())
          .blocking("halve", halve, {.workers = 2})
          .to("store", [&](const bytes& file) { sizes.push_back(file.size()); })
          .start(group);
  bool always_alive = true;
  int asked = 0;
  while (!service.ended()) {
    co_await sleep_for(5ms);
    // Work is pending and nothing was finished for two seconds: an orchestrator should restart it.
    always_alive = liveness(service.status(), 2s).good && always_alive;
    ++asked;
  }
  const report account = co_await service.finished();
  std::printf("%zu halved, the loop answered meanwhile: %s, alive all the time: %s\n", sizes.size(),
              asked > 1 ? "yes" : "no", always_alive ? "yes" : "no");
  for (const dead_letter_report& bad : account.dead_letters) {
    std::printf("%s: %s\n", bad.id.c_str(), bad.error.c_str());
  }
}

int main() { run(with_group(serve)); }
