#include "connect/http_components.hpp"
#include "connect/http_settings.hpp"
#include "connect/json_text.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/stage.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace brigade::http {
namespace {

constexpr std::int64_t connections_max = 10'000;

enum class use_of_answer : std::uint8_t { replace, merge, ignore };

struct stage_settings {
  explicit stage_settings(client_settings client_) : client(std::move(client_)) {}
  client_settings client;
  bool has_body = true;
  use_of_answer use = use_of_answer::replace;
  std::string into;  ///< with merge
};

/// A JSON value on one line: line breaks can only be between its parts.
std::string on_one_line(std::string_view json) {
  std::string text(json_text::trimmed(json));
  std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

/// `object` with the member `name` as `value`, in place of the one it has, else at its end.
std::string with_member(std::string_view object, const std::string& name, std::string_view value) {
  std::string result = "{";
  std::string storage;
  json_text::object_reader reader(object);
  while (reader.next()) {
    if (json_text::unquoted(reader.key(), storage) == name) continue;
    result.append(reader.key()).append(":").append(reader.value()).append(",");
  }
  append_json_quoted(result, name);
  result.append(":").append(value).append("}");
  return result;
}

class http_stage final : public stage_body {
 public:
  explicit http_stage(stage_settings settings) : settings_(std::move(settings)) {}

  task<> open(int) override { client_ = co_await make_client(settings_.client); }
  task<> close() override {
    client_ = nullptr;
    co_return;
  }
  [[nodiscard]] bool wants_names() const override { return !settings_.client.key_header.empty(); }
  task<attempt_result> run(payload& item, const attempt_info& info) override;

 private:
  [[nodiscard]] attempt_result result_of(std::string_view item, answer got) const;
  [[nodiscard]] attempt_result use(std::string_view item, const answer& got) const;

  stage_settings settings_;
  std::unique_ptr<client> client_;
};

// What is thrown on the way is taken for what it is: `unreachable` and `broken` are retryable.
task<attempt_result> http_stage::run(payload& item, const attempt_info& info) {
  const client_settings& of = settings_.client;
  const std::string text = item.get<record>().json_text();
  const std::string target = of.url.target(text);
  std::optional<std::string_view> body;
  if (settings_.has_body) body = text;
  const request asking = make_request(of, target, info.key, body);
  answer got = co_await client_->send(of.url.where(), asking);
  co_return result_of(text, std::move(got));
}

attempt_result http_stage::result_of(std::string_view item, answer got) const {
  const client_settings& of = settings_.client;
  const meaning what = meaning_of(got.status, addressed::by_item);
  if (what == meaning::done) return use(item, got);
  const verdict kind = what == meaning::refused ? verdict::permanent : verdict::retryable;
  failure why(kind, told(of.url.where().shown(), got, of.secrets), got.retry_after);
  return attempt_result::failed(std::move(why));
}

attempt_result http_stage::use(std::string_view item, const answer& got) const {
  if (settings_.use == use_of_answer::ignore) return attempt_result::unchanged();
  const std::string who = settings_.client.url.where().shown();
  if (got.is_cut) {
    throw permanent_error("the answer of " + who + " is larger than 'max_response'");
  }
  if (json_text::trimmed(got.body).empty()) return attempt_result::unchanged();
  if (const auto wrong = json_text::check(got.body)) {
    throw permanent_error("the answer of " + who + " is no JSON: " + wrong->why + " at byte " +
                          std::to_string(wrong->at) + " of '" +
                          excerpt(without(got.body, settings_.client.secrets)) + "'");
  }
  const std::string value = on_one_line(got.body);
  if (settings_.use == use_of_answer::replace) {
    return attempt_result::passed(payload(record::json(value)));
  }
  if (json_text::kind_of(item) != json_text::kind::object) {
    throw permanent_error("the item is no object that the answer could be put into");
  }
  return attempt_result::passed(payload(record::json(with_member(item, settings_.into, value))));
}

use_of_answer use_named(const std::string& name) {
  if (name == "merge") return use_of_answer::merge;
  return name == "ignore" ? use_of_answer::ignore : use_of_answer::replace;
}

std::unique_ptr<stage_body> make(const settings& values, const component_context& context) {
  stage_settings made(read_client_settings(values, context, "application/json"));
  const bool asks = made.client.method == "GET" || made.client.method == "DELETE";
  made.has_body = values.has("body") ? values.text("body") == "item" : !asks;
  if (made.client.method == "GET" && made.has_body) {
    throw config_error("body", "a GET has no body; take another method, or 'body: none'");
  }
  if (made.client.method == "GET") made.client.key_header.clear();
  made.client.client.connections_max = bounded(values, "connections", connections_max);
  made.use = use_named(values.text("response"));
  if (values.has("into")) made.into = values.text("into");
  const bool merges = made.use == use_of_answer::merge;
  if (merges && made.into.empty()) {
    throw config_error("into", "'response: merge' needs it: the field that the answer is put into");
  }
  if (!merges && values.has("into")) {
    throw config_error("into", "goes with 'response: merge' only");
  }
  if (!valid_utf8(made.into)) throw config_error("into", "is no UTF-8");
  return std::make_unique<http_stage>(std::move(made));
}

}  // namespace

component stage_component() {
  component entry;
  entry.kind = component_kind::stage;
  entry.name = "http";
  entry.doc = "Asks an HTTP server about each item, and goes on with the answer or with the item.";
  entry.fields = client_fields({"POST", "GET", "PUT", "PATCH", "DELETE"});
  const auto add = [&](std::string name, field_type type, std::string fallback, std::string doc) {
    field_spec& made = entry.fields.emplace_back();
    made.name = std::move(name);
    made.type = type;
    made.fallback = std::move(fallback);
    made.doc = std::move(doc);
  };
  add("body", field_type::choice, "",
      "What is sent: the item as JSON, or nothing; item unless the method is GET or DELETE.");
  entry.fields.back().choices = {"item", "none"};
  add("response", field_type::choice, "replace",
      "What becomes of the answer, which is JSON: replace: it is the item from now on; merge: it "
      "is "
      "put into the item's field 'into'; ignore: the item goes on as it is.");
  entry.fields.back().choices = {"replace", "merge", "ignore"};
  add("into", field_type::text, "", "With merge, the field that the answer is put into.");
  entry.fields.back().example = "answer";
  add("connections", field_type::integer, "100",
      "How many requests of all workers may be under way at once.");
  entry.make_stage = make;
  return entry;
}

}  // namespace brigade::http
