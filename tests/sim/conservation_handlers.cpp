#include "sim/conservation_takers.hpp"

#include <utility>

namespace brigade::sim {

task<> handlers::use(haul& load) {
  if (load.one) co_await use_one(*load.one);
  if (load.several) co_await use_several(*load.several);
  if (load.plain) co_await all.at_work();
}

task<> handlers::use_one(held_ticket& mine) {
  co_await all.at_work();
  switch (all.random.below(gives_back ? 8 : 6)) {
    case 0:
      mine.got.done();
      mine.mine.settle(fate::done);
      mine.note.end();
      co_await all.pause();
      break;
    case 1:
      mine.got.fail();
      mine.mine.settle(fate::failed);
      mine.note.end();
      co_await all.pause();
      break;
    case 2:
      mine.mine.will_end_as(fate::failed);
      throw spoiled("spoiled");
    case 6:
      mine.got.give_back();
      mine.mine.give_back();
      mine.note.end();
      co_await all.pause();
      break;
    case 3: {
      const ticket<parcel> handed_over = std::move(mine.got);
      claim with_it = std::move(mine.mine);
      co_await all.pause();
      with_it.will_end_as(fate::done);
      mine.note.end();
      break;
    }
    default:
      mine.mine.will_end_as(fate::done);
  }
}

task<> handlers::use_several(held_batch& mine) {
  co_await all.at_work();
  const bool some_first = all.chance(3);
  if (some_first) {
    settle_some(mine);
    co_await all.pause();
  }
  switch (all.random.below(gives_back && !some_first ? 7 : 5)) {
    case 0:
      mine.got.fail();
      for (claim& each : mine.mine) each.will_end_as(fate::failed);
      mine.mine.clear();
      break;
    case 1:
      mine.got.done();
      mine.will_end_as(fate::done);
      mine.mine.clear();
      break;
    case 2:
      mine.will_end_as(fate::failed);
      throw spoiled("all of them");
    case 5:
      mine.got.give_back();
      for (auto each = mine.mine.rbegin(); each != mine.mine.rend(); ++each) each->give_back();
      break;
    default:
      mine.will_end_as(fate::done);
      co_return;
  }
  mine.note.end();
  co_await all.pause();
}

void handlers::settle_some(held_batch& mine) {
  for (std::size_t i = 0; i < mine.got.size(); ++i) {
    switch (all.random.below(gives_back ? 7 : 6)) {
      case 0:
        mine.got.done(i);
        mine.mine[i].settle(fate::done);
        break;
      case 1:
        mine.got.fail(i);
        mine.mine[i].settle(fate::failed);
        break;
      case 2:
        split(mine, i);
        break;
      case 6:
        mine.got.give_back(i);
        mine.mine[i].give_back();
        break;
      default:
        break;
    }
  }
  if (mine.got.unsettled() == 0) mine.note.end();
}

void handlers::split(held_batch& mine, std::size_t index) {
  ticket<parcel> one = mine.got.split(index);
  claim its_claim = std::move(mine.mine[index]);
  saw(feature::batch_split);
  if (all.chance(2)) {
    one.fail();
    its_claim.settle(fate::failed);
  } else {
    its_claim.will_end_as(fate::done);
  }
}

}  // namespace brigade::sim
