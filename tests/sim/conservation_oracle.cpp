#include "sim/conservation_oracle.hpp"

#include "sim/conservation_model.hpp"

#include <iostream>

namespace brigade::sim {

namespace {

constexpr std::size_t lines_max = 60;

}  // namespace

void oracle::note(std::string line) {
  if (aloud_) std::cerr << "  " << line << std::endl;  // at once: what follows may be its end
  lines_.push_back(std::move(line));
  if (lines_.size() > lines_max) lines_.pop_front();
}

std::string oracle::story() const {
  std::string text;
  for (const std::string& line : lines_) text += "  " + line + "\n";
  return text;
}

std::string item_record::name() const {
  std::string text = std::to_string(producer) + "." + std::to_string(number);
  return text + " (rank " + std::to_string(rank) + ", weight " + std::to_string(weight) + ")";
}

void parcel::leave() noexcept {
  if (item_record* const item = std::exchange(record_, nullptr)) item->book->gone(*item);
}

parcel item_book::make(int producer, int number, int rank, std::size_t weight) {
  item_record& item = records_.emplace_back();
  item.producer = producer;
  item.number = number;
  item.rank = rank;
  item.weight = weight;
  item.book = this;
  return parcel(item);
}

void item_book::ends(item_record& item, fate how) {
  if (item.where == place::ended) judge_.problem("item " + item.name() + " ended twice");
  item.where = place::ended;
  item.end = how;
  ++counts_[static_cast<std::size_t>(how)];
  item.in = nullptr;
}

void item_book::gone(item_record& item) {
  if (!item.alive) judge_.problem("item " + item.name() + " was there twice");
  item.alive = false;
  if (item.where == place::queue) item.in->vanished(item);
  if (item.where == place::taker) {
    judge_.problem("item " + item.name() + " was destroyed while somebody worked on it");
  }
}

void item_book::check_end() {
  for (item_record& item : records_) {
    if (item.where == place::maker) ends(item, fate::kept);
    if (item.alive) judge_.problem("item " + item.name() + " is still somewhere");
    if (item.where == place::queue) judge_.problem("item " + item.name() + " was lost");
    if (item.where == place::taker) judge_.problem("item " + item.name() + " was never settled");
  }
}

}  // namespace brigade::sim
