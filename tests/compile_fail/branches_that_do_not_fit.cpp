// Branches that go on behind a route must give the same type there.
// g++:   branches that go on behind a route give the same type there
// clang: branches that go on behind a route give the same type there
#include <brigade/pipeline/pipeline.hpp>

#include <string>
#include <vector>

brigade::report sorted(std::vector<int> items) {
  const auto small = [](int item) { return item < 10; };
  const auto text = [](int item) { return std::to_string(item); };
#ifdef BAD
  const auto other = [](int item) { return item; };
#else
  const auto other = [](int) { return std::string("large"); };
#endif
  return brigade::pipeline("sort")
      .from(std::move(items))
      .route("size",
             brigade::branch(small, [&](auto way) { return std::move(way).stage("a", text); }),
             brigade::otherwise([&](auto way) { return std::move(way).stage("b", other); }))
      .to("out", [](const std::string&) {})
      .run();
}
