#include "pipeline/outcome_board.hpp"

#include <utility>

namespace brigade {

task<std::optional<item_outcome>> detail::outcome_board::next(std::shared_ptr<outcome_board> from) {
  auto ticket = co_await from->told_.take();
  if (!ticket) co_return std::nullopt;
  item_outcome told = std::move(*ticket);
  ticket.done();
  if (from->on_room) from->on_room();
  co_return told;
}

outcome_stream::outcome_stream(std::shared_ptr<detail::outcome_board> from)
    : board_(std::move(from)) {
  board_->reader_comes();
}

outcome_stream::~outcome_stream() {
  if (board_) board_->reader_goes();
}

task<std::optional<item_outcome>> outcome_stream::next() {
  return detail::outcome_board::next(board_);
}

}  // namespace brigade
