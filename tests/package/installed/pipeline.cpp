#include <brigade/pipeline.hpp>

#include <vector>

int main() {
  std::vector<int> numbers(1000, 1);
  long sum = 0;
  auto pipeline = brigade::pipeline("numbers")
                      .from(numbers)
                      .stage("double", [](int one) { return 2 * one; }, {.workers = 4})
                      .to("sum", [&](int two) { sum += two; });
  const brigade::report report = pipeline.run();
  return report.exit_code == 0 && sum == 2000 ? 0 : 1;
}
