#include <brigade/async.hpp>

namespace {
brigade::task<int> answer() { co_return 42; }
}  // namespace

int main() { return brigade::run(answer()) == 42 ? 0 : 1; }
