#include "cli/picture.hpp"

#include "cli/all_components.hpp"
#include "cli/fake_components.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <string>

namespace brigade::cli {
namespace {

pipeline_picture drawn(const std::string& text) {
  static const registry known = fake_registry();
  pipeline_text input;
  input.text = text;
  input.shown = "orders.yaml";
  input.file = "/jobs/orders.yaml";
  input.lookup = [](const std::string& name) -> std::optional<std::string> {
    if (name == "SECRET") return "s3cret";
    return std::nullopt;
  };
  return picture_of(read_pipeline(input, known));
}

const std::string whole_file = R"(
state: state
source: { file: { path: [a.ndjson, b.ndjson], format: ndjson }, name: orders }
id: .order
stages:
  - { name: validate, filter: '.total < 5 & "x"', workers: 4, queue: { size: 9 } }
  - exec: { command: [python3, charge.py], env: { TOKEN: secret } }
    timeout: 5s
    deadline: 2m
    retry: { attempts: 1 }
    on_error: fail_fast
    when: .paid
sink: { sqlite: { file: out.db, table: t } }
ledger: { mode: full, keep: 30d }
then: { if: success, exec: [./publish, now] }
)";

// Guards: an address, a command or an expression with a token in it is shown as it is spelled.
TEST(picture, what_stands_for_a_variable_is_not_shown) {
  const pipeline_picture picture = drawn(R"(
source: { file: { path: ['a-${SECRET}', b] } }
id: '.["${SECRET}"]'
order_by: '.o["${SECRET}"]'
stages:
  - exec: [./charge, '--token=${SECRET}', 'x${OTHER:y}']
    when: '.w["${SECRET}"]'
    queue: { kind: { priority: '.p["${SECRET}"]' } }
sink: { sqlite: { file: '${SECRET}.db', table: t } }
then: { if: always, exec: [./tell, '${SECRET}'] }
)");
  const std::string text = text_picture(picture);
  for (const char* line :
       {"path: a-${SECRET} b", R"(id: .["${SECRET}"])", R"(order_by: .o["${SECRET}"])",
        "command: ./charge --token=${SECRET} x${OTHER:y}", R"(when: .w["${SECRET}"])",
        R"(by .p["${SECRET}"])", "file: ${SECRET}.db", "exec: ./tell ${SECRET}"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << " is not in\n" << text;
  }
  EXPECT_EQ(text.find("s3cret"), std::string::npos) << text;
  EXPECT_EQ(svg_picture(picture).find("s3cret"), std::string::npos);
}

TEST(picture, policies_that_are_not_the_default_are_shown) {
  const std::string text = text_picture(drawn(R"(
source: { file: a }
order_by: .customer
after_dead_letter: hold_key
stages:
  - jq: .
    queue: { kind: { priority: .urgency }, when_full: drop_oldest }
    rate: 600/m
    on_error: { tolerate: 5%, then: pause }
  - { jq: ., queue: { kind: lifo }, on_error: { tolerate: 10 } }
sink: { null: {}, rate: 5/s }
)"));
  for (const char* line :
       {"order_by: .customer, held behind a dead letter", "queue: 64, by .urgency, drop_oldest",
        "rate: 600/m", "on_error: tolerate 5%, then pause", "queue: 64, lifo",
        "on_error: tolerate 10, then stop", "rate: 5/s"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << " is not in\n" << text;
  }
}

TEST(picture, text_shows_the_flow_with_what_holds_defaults_included) {
  EXPECT_EQ(text_picture(drawn(whole_file)),
            R"(orders

  source orders (file)
  │  path: a.ndjson b.ndjson
  │  format: ndjson
  │  id: .order
  │  window: 10000 items, 64MiB
  ▼
  stage validate (filter)
  │  expression: .total < 5 & "x"
  │  workers: 4; queue: 9
  │  timeout: none; deadline: none
  │  retry: 5 attempts, 200ms..30s
  │  on_error: isolate
  ▼
  stage exec
  │  command: python3 charge.py
  │  env: TOKEN
  │  when: .paid
  │  workers: 1; queue: 64
  │  timeout: 5s; deadline: 2m
  │  retry: none, 1 attempt
  │  on_error: fail_fast
  ▼
  sink sqlite
     file: out.db
     table: t
     batch: 1000 items, within 50ms
     timeout: none
     retry: 5 attempts, 200ms..30s

  dead letters
     in the ledger
     brigade dlq ls LEDGER
  ledger
     state/orders.ledger.db
     mode: full
     keep: 30d
  then, if success
     exec: ./publish now
)");
}

TEST(picture, svg_says_the_same_and_is_sound_xml) {
  const std::string svg = svg_picture(drawn(whole_file));
  EXPECT_EQ(svg.rfind("<svg xmlns=", 0), 0u);
  EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
  EXPECT_NE(svg.find(">expression: .total &lt; 5 &amp; \"x\"</text>"), std::string::npos) << svg;
  EXPECT_EQ(svg.find("secret"), std::string::npos);
  for (const char* word : {"source orders (file)", "workers: 4; queue: 9", "then, if success"}) {
    EXPECT_NE(svg.find(std::string(">") + word + "</text>"), std::string::npos) << word;
  }
}

TEST(picture, svg_replaces_what_no_xml_may_hold) {
  pipeline_picture picture = drawn("source: { stdin: {} }\nsink: { stdout: {} }\n");
  picture.flow.front().lines = {"caf\xe9 \x01 <b>"};
  EXPECT_NE(svg_picture(picture).find(">caf?   &lt;b&gt;</text>"), std::string::npos);
}

TEST(picture, svg_boxes_hold_their_text_and_do_not_touch) {
  const std::string svg = svg_picture(drawn(whole_file));
  struct box {
    int x, y, width, height;
  };
  std::vector<box> boxes;
  static const std::regex shape(R"re(<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)" rx)re");
  for (std::sregex_iterator at(svg.begin(), svg.end(), shape), end; at != end; ++at) {
    boxes.push_back(
        {std::stoi((*at)[1]), std::stoi((*at)[2]), std::stoi((*at)[3]), std::stoi((*at)[4])});
  }
  ASSERT_EQ(boxes.size(), 7u);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    for (std::size_t j = i + 1; j < boxes.size(); ++j) {
      const box& a = boxes[i];
      const box& b = boxes[j];
      const bool apart = a.x + a.width < b.x || b.x + b.width < a.x || a.y + a.height < b.y ||
                         b.y + b.height < a.y;
      EXPECT_TRUE(apart) << i << " and " << j;
    }
  }
  static const std::regex words(R"re(<text x="(\d+)" y="(\d+)"[^>]*>([^<]*)</text>)re");
  for (std::sregex_iterator at(svg.begin(), svg.end(), words), end; at != end; ++at) {
    const int x = std::stoi((*at)[1]);
    const int y = std::stoi((*at)[2]);
    bool inside = false;
    for (const box& one : boxes) {
      inside |= x > one.x && x + static_cast<int>((*at)[3].length()) * 7 < one.x + one.width + 40 &&
                y > one.y && y < one.y + one.height;
    }
    EXPECT_TRUE(inside) << (*at)[3];
  }
}

TEST(picture, branches_stand_further_in_with_what_comes_there) {
  static const registry& known = all_components();
  pipeline_text input;
  input.text = R"(
source: { file: a }
stages:
  - route: [ { when: .x, to: { "null": {} } }, { when: .y, to: [ { jq: . } ] } ]
  - tee: [ { file: b, required: false } ]
sink: { stdout: {} }
)";
  input.shown = "f.yaml";
  input.file = "/jobs/f.yaml";
  input.lookup = [](const std::string&) { return std::nullopt; };
  const pipeline_picture picture = picture_of(read_pipeline(input, known));
  std::vector<std::vector<std::size_t>> next;
  for (const picture_box& box : picture.flow) next.push_back(box.next);
  // source, route, null, jq, tee, file, stdout
  EXPECT_EQ(next, (std::vector<std::vector<std::size_t>>{{1}, {2, 3}, {}, {4}, {5, 6}, {}, {}}));
  const std::string text = text_picture(picture);
  EXPECT_NE(text.find("  │ when .y:\n  │ stage jq\n  │ │  program: .\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("  │ copy, not required:\n  │ sink file\n"), std::string::npos) << text;
  EXPECT_NE(text.find("else: filtered"), std::string::npos) << text;
  EXPECT_NE(svg_picture(picture).find("copy, not required"), std::string::npos);
}

}  // namespace
}  // namespace brigade::cli
