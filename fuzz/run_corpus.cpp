// Runs every target over the files of its corpus, without a fuzzer: run_corpus FOLDER.
#include "fuzz.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace brigade::fuzz {
namespace {

std::map<std::string_view, target>& targets() {
  static std::map<std::string_view, target> all;
  return all;
}

std::size_t run_all(std::string_view name, target run, const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  run({});
  for (const auto& file : files) {
    std::printf("%.*s %s\n", static_cast<int>(name.size()), name.data(), file.c_str());
    std::fflush(stdout);  // when it crashes, the last line says on what
    std::ifstream from(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(from), {}};
    // A copy of the exact size, so that a sanitizer sees a step beyond it.
    const std::vector<char> input(bytes.begin(), bytes.end());
    run({input.data(), input.size()});
  }
  return files.size();
}

}  // namespace

bool add_target(std::string_view name, target run) { return targets().emplace(name, run).second; }

int run_corpus(const std::filesystem::path& folder) {
  for (const auto& [name, run] : targets()) {
    if (run_all(name, run, folder / name) > 0) continue;
    std::fprintf(stderr, "%s has no file\n", (folder / name).c_str());
    return 1;
  }
  return targets().empty() ? 1 : 0;
}

}  // namespace brigade::fuzz

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  return brigade::fuzz::run_corpus(argv[1]);
}
