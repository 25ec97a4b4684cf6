// What handlers write: cut into lines as it comes from a pipe, and read as answers.
#include "connect/exec_protocol.hpp"
#include "connect/json_text.hpp"
#include "fuzz.hpp"

#include <brigade/connect/record.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace brigade::fuzz {
namespace {

void read_answer(std::string_view line) {
  const auto decoded = exec::decode_answer(line);
  if (const auto* const wrong = std::get_if<exec::rubbish>(&decoded)) {
    demand(wrong->why.find('\n') == std::string::npos, "the reason is one line");
    return;
  }
  const auto& given = std::get<exec::answer>(decoded);
  if (given.error) {
    demand(given.value.empty(), "an error has no value");
    demand(given.error->error.find('\n') == std::string::npos, "an error is one line");
    return;
  }
  demand(line.data() <= given.value.data() &&
             given.value.data() + given.value.size() <= line.data() + line.size(),
         "a value is a part of the line");
  demand(!json_text::check(given.value), "a value is JSON");
  std::string again = "{\"id\": " + std::to_string(given.id) + ", \"ok\": ";
  again.append(given.value).append("}");
  const auto twice = exec::decode_answer(again);
  const auto* const same = std::get_if<exec::answer>(&twice);
  demand(same != nullptr && same->id == given.id && same->value == given.value,
         "an answer written again is the same");
}

void run(std::string_view input) {
  chance random(input);
  exec::line_buffer buffer;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < input.size();) {
    const auto space = buffer.space();
    const std::size_t count =
        std::min({1 + random.below(input.size()), space.size(), input.size() - at});
    std::memcpy(space.data(), input.data() + at, count);
    buffer.filled(count);
    at += count;
    while (const auto line = buffer.next()) lines.emplace_back(*line);
  }
  std::string whole;
  for (const std::string& line : lines) whole += line + "\n";
  whole += buffer.rest();
  demand(whole == input, "lines are what was written");
  for (const std::string& line : lines) read_answer(line);
  read_answer(input);
  const std::string shown = exec::one_line(input, 1 + random.below(60));
  demand(valid_utf8(shown) && shown.find('\n') == std::string::npos, "what is shown is one line");
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(answers, brigade::fuzz::run);
