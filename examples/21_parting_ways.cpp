// Where ways part: all orders are archived, large ones are approved, small ones packed in tens.
//
//   orders ──┬──> by size ──┬──> approve ──> large
//            │              └──> pack, ten in a parcel ──> parcels
//            ├──> archive
//            └──> statistics, which nobody needs to have: what fails there is dropped
#include <brigade/pipeline.hpp>

#include <cstdio>
#include <stdexcept>
#include <vector>

using namespace brigade;

struct order {
  int number;
  int cents;
};

order approve(const order& one) {
  if (one.number == 90) throw permanent_error("the customer is unknown");
  return one;
}

int main() {
  std::vector<order> orders;
  for (int number = 1; number <= 100; ++number) orders.push_back({number, 100 * number});

  std::vector<int> archive;
  std::vector<int> large;
  std::vector<std::size_t> parcels;
  auto is_large = [](const order& one) { return one.cents > 8000; };
  auto archived = [&](const order& one) { archive.push_back(one.number); };
  auto counted = [](const order&) { throw permanent_error("out of order"); };

  const report account =
      pipeline("orders")
          .from(orders)
          .tee("copies", branch([&](auto way) { return std::move(way).to("archive", archived); }),
               optional_branch([&](auto way) { return std::move(way).to("statistics", counted); }))
          .route("by size",
                 branch(is_large,
                        [&](auto way) {
                          return std::move(way)
                              .stage("approve", approve)
                              .to("large", [&](const order& one) { large.push_back(one.number); });
                        }),
                 otherwise([&](auto way) {
                   return std::move(way)
                       .batch("pack", {.count = 10})
                       .to("parcels",
                           [&](const std::vector<order>& ten) { parcels.push_back(ten.size()); });
                 }))
          .run();

  std::printf("archived %zu, large %zu, parcels %zu of %zu\n", archive.size(), large.size(),
              parcels.size(), parcels.front());
  std::printf("%s", account.text().c_str());
  return account.exit_code == 3 ? 0 : 1;  // one dead letter
}
