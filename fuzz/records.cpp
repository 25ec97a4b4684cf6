// Items as a dead letter stores them.
#include "connect/json_text.hpp"
#include "fuzz.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/stage.hpp>

#include <string>

namespace brigade::fuzz {
namespace {

void check_round_trip(const record& value) {
  const std::string stored = text_of(value);
  const record back = record::from_text(stored);
  demand(back.what() == value.what() && back.raw() == value.raw() &&
             back.offset() == value.offset() && back.whole_bytes() == value.whole_bytes(),
         "an item reads back as it was");
  demand(value.what() == record::shape::json || valid_utf8(stored), "a dead letter is text");
}

void check_json(const record& value) {
  try {
    const std::string json = value.json_text();
    demand(!json_text::check(json), "an item is JSON");
    std::string storage;
    const auto line = json_text::member(json, "line");
    demand(line && json_text::unquoted(*line, storage) == value.raw(),
           "a line in JSON is what it was");
  } catch (const permanent_error&) {
    demand(!valid_utf8(value.raw()), "only what is no text is no JSON");
  }
}

void run(std::string_view input) {
  chance random(input);
  check_round_trip(record::line(std::string(input)));
  check_round_trip(record::cut(std::string(input), random.below(1U << 30), random.below(1U << 30)));
  if (!json_text::check(input) && input.find('\n') == std::string_view::npos) {
    check_round_trip(record::json(std::string(input)));
  }
  check_json(record::line(std::string(input)));
  // Whatever the text, reading it and writing it ends, and comes to rest.
  const std::string once = text_of(record::from_text(input));
  demand(text_of(record::from_text(once)) == once, "a stored item comes to rest");
  const std::string shown = excerpt(input, 1 + random.below(60));
  demand(valid_utf8(shown) && shown.find('\n') == std::string::npos, "an excerpt is one line");
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(records, brigade::fuzz::run);
