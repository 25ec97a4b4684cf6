// A stage takes what the stage before it gives.
// g++:   this stage's function does not take what the stage before it gives
// clang: this stage's function does not take what the stage before it gives
#include <brigade/pipeline/pipeline.hpp>

#include <string>
#include <vector>

struct order {
  int number;
};

int charge(const order& one) { return one.number; }
#ifdef BAD
void store(const std::string&) {}
#else
void store(int) {}
#endif

void sell(std::vector<order> orders) {
  brigade::pipeline("orders").from(orders).stage("charge", charge).stage("store", store);
}
