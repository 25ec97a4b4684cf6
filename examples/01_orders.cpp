// 1,000 orders, one of them bad: it fails alone, and the account says what became of each.
//
//   orders ──> charge (4 workers) ──> receipts
#include <brigade/pipeline.hpp>

#include <cstdio>
#include <vector>

struct order {
  int number;
  double total;
};
struct receipt {
  int order_number;
  double charged;
};

receipt charge(const order& given) {
  if (given.number == 847) throw brigade::permanent_error("card declined");
  return {given.number, given.total * 1.2};
}

int main() {
  std::vector<order> orders;
  for (int number = 1; number <= 1000; ++number) orders.push_back({number, number * 0.5});

  std::vector<receipt> receipts;
  const brigade::report account =
      brigade::pipeline("orders")
          .from(orders)
          .stage("charge", charge, {.workers = 4})
          .to("receipts", [&](const receipt& done) { receipts.push_back(done); })
          .run();

  std::printf("%s", account.text().c_str());
  std::printf("%zu receipts\n", receipts.size());
  return account.exit_code;
}
