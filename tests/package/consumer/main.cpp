#include <brigade/pipeline.hpp>

#include <iostream>
#include <vector>

struct order {
  int id;
  int cents;
};

int charge(const order& one) {
  if (one.id == 847) throw brigade::permanent_error("card declined");
  return one.cents;
}

int main() {
  std::vector<order> orders;
  for (int id = 1; id <= 1000; ++id) orders.push_back({id, 250 * id});

  long income = 0;
  auto pipeline = brigade::pipeline("orders")
                      .from(orders)
                      .stage("charge", charge, {.workers = 4})
                      .to("till", [&](int cents) { income += cents; });
  const brigade::report report = pipeline.run();
  std::cout << report.text() << income << " cents charged\n";
  return report.exit_code;
}
