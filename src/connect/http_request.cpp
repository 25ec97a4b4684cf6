#include "connect/http_request.hpp"

#include <brigade/connect/record.hpp>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace brigade {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::size_t key_bytes_max = 255;
constexpr std::size_t reserved_max = std::size_t{64} << 10;  // more only for bytes that came
constexpr std::string_view last_chunk = "0\r\n\r\n";
constexpr std::string_view blanks = " \t";

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

bool same(std::string_view a, std::string_view b) {
  return beast::iequals(beast::string_view(a.data(), a.size()),
                        beast::string_view(b.data(), b.size()));
}

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(blanks);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(blanks) - from + 1);
}

bool is_utf8_name(std::string_view charset) {
  if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"') {
    charset = charset.substr(1, charset.size() - 2);
  }
  return same(charset, "utf-8") || same(charset, "utf8") || same(charset, "us-ascii");
}

/// None for a type whose items nobody can tell apart here.
std::optional<http_body_kind> kind_of_type(std::string_view type) {
  const std::size_t semicolon = type.find(';');
  std::string_view parameters = semicolon == type.npos ? "" : type.substr(semicolon + 1);
  while (!parameters.empty()) {
    const std::size_t end = std::min(parameters.find(';'), parameters.size());
    const std::string_view each = trimmed(parameters.substr(0, end));
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
    const std::size_t equals = each.find('=');
    if (equals == each.npos || !same(each.substr(0, equals), "charset")) continue;
    if (!is_utf8_name(each.substr(equals + 1))) return std::nullopt;
  }
  const std::string_view name = trimmed(type.substr(0, semicolon));
  static constexpr std::array<std::string_view, 4> of_lines = {
      "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"};
  for (const std::string_view each : of_lines) {
    if (same(name, each)) return http_body_kind::ndjson;
  }
  constexpr std::string_view suffix = "+json";
  const bool is_json =
      same(name, "application/json") ||
      (name.size() > suffix.size() && same(name.substr(name.size() - suffix.size()), suffix));
  return is_json ? std::optional(http_body_kind::json) : std::nullopt;
}

/// The key without the quotes of a structured field; none when it cannot be used.
std::optional<std::string> key_of(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
  }
  const bool is_plain = std::ranges::all_of(
      value, [](char c) { return c > ' ' && c < '\x7f' && c != '"' && c != '\\'; });
  if (value.empty() || value.size() > key_bytes_max || !is_plain) return std::nullopt;
  return std::string(value);
}

/// How a parser's error is told.
http_refusal refusal_of(error_code failed, const http_rules& rules) {
  http_refusal refusal;
  if (failed == http::error::header_limit) {
    refusal.status = 431;
    refusal.error = "the header is larger than " + std::to_string(rules.header_bytes_max) +
                    " bytes ('max_headers')";
  } else if (failed == http::error::bad_version) {
    refusal.status = 505;
    refusal.error = "only HTTP/1.1 and HTTP/1.0 are spoken here";
  } else {
    refusal.error = "this is no HTTP request: " + failed.message();
  }
  return refusal;
}

http_refusal too_large(const http_rules& rules) {
  http_refusal refusal;
  refusal.status = 413;
  refusal.error =
      "the body is larger than " + std::to_string(rules.body_bytes_max) + " bytes ('max_body')";
  return refusal;
}

}  // namespace

bool is_token(std::string_view given, const std::vector<std::string>& tokens) {
  bool found = false;
  for (const std::string& token : tokens) {
    volatile unsigned char differs = given.size() == token.size() ? 0 : 1;
    for (std::size_t i = 0; i < given.size() && !token.empty(); ++i) {
      const auto wrong = static_cast<unsigned char>(given[i] ^ token[i % token.size()]);
      differs = static_cast<unsigned char>(differs | wrong);
    }
    const bool equal = differs == 0;
    found = found || (equal && !token.empty());
  }
  return found;
}

/// What the fields say, as they come.
class http_request_reader::parser final : public http::basic_parser<true> {
 public:
  explicit parser(http_request_reader& reader) : reader_(reader) {
    // It would count a header differently by how it comes in; `feed` counts, and sees it first.
    header_limit(static_cast<std::uint32_t>(3 * reader.rules_.header_bytes_max));
    body_limit(boost::none);  // judged when it is known who sends it
  }

  std::string target;
  std::string content_type;
  std::string method;
  std::optional<std::string> authorization;
  std::optional<std::string> key;
  std::optional<std::string> expect;
  int hosts = 0;
  int lengths = 0;
  int encodings = 0;
  int authorizations = 0;
  int keys = 0;
  bool is_http_10 = false;
  bool is_chunked = false;
  bool is_encoded = false;

 private:
  using progress = http_request_reader::state;  // the base has a name of its own for its state

  void on_request_impl(http::verb, beast::string_view method_text, beast::string_view target_text,
                       int version, error_code&) override {
    is_http_10 = version < 11;
    method = view(method_text);
    target = view(target_text);
  }
  void on_response_impl(int, beast::string_view, int, error_code&) override {}
  void on_field_impl(http::field name, beast::string_view name_text, beast::string_view text,
                     error_code&) override {
    if (reader_.state_ == progress::body) return;  // a trailer
    const std::string_view value = view(text);
    switch (name) {
      case http::field::host:
        ++hosts;
        break;
      case http::field::content_length:
        ++lengths;
        if (value.find(',') != value.npos) ++lengths;
        break;
      case http::field::transfer_encoding:
        ++encodings;
        is_chunked = same(value, "chunked");
        break;
      case http::field::content_type:
        content_type = value;
        break;
      case http::field::content_encoding:
        is_encoded = is_encoded || !same(value, "identity");
        break;
      case http::field::authorization:
        ++authorizations;
        authorization = value;
        break;
      case http::field::expect:
        expect = value;
        break;
      default:
        if (!same(view(name_text), "Idempotency-Key")) break;
        ++keys;
        key = value;
        break;
    }
  }
  void on_header_impl(error_code& failed) override {
    reader_.state_ = progress::body;
    reader_.judge_header();
    if (reader_.state_ == progress::refused) failed = http::error::end_of_stream;
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, error_code&) override { return add(body); }
  void on_chunk_header_impl(std::uint64_t size, beast::string_view, error_code& failed) override {
    const std::size_t room = reader_.rules_.body_bytes_max - reader_.request_.body.size();
    if (size > room) failed = http::error::body_limit;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code&) override {
    return add(body);
  }
  void on_finish_impl(error_code&) override {}

  std::size_t add(beast::string_view body) {
    reader_.request_.body.append(body.data(), body.size());
    return body.size();
  }

  http_request_reader& reader_;
};

http_request_reader::http_request_reader(const http_rules& rules) : rules_(rules) { next(); }
http_request_reader::~http_request_reader() = default;

void http_request_reader::next() {
  parser_.reset();
  parser_ = std::make_unique<parser>(*this);
  http_request none;
  std::swap(request_, none);  // assigned to, a string would keep its memory
  refusal_ = http_refusal{};
  state_ = state::nothing_yet;
  header_bytes_ = 0;
  wants_continue_ = false;
  is_head_ = false;
}

std::size_t http_request_reader::feed(std::string_view bytes) {
  if (bytes.empty()) return 0;
  std::size_t used = 0;
  // Empty lines before a request are to be passed over (RFC 9112, 2.2).
  while (state_ == state::nothing_yet && bytes.substr(used).starts_with("\r\n")) used += 2;
  const std::string_view rest = bytes.substr(used);
  if (rest.empty() || (state_ == state::nothing_yet && rest == "\r")) return used;
  if (state_ == state::nothing_yet) state_ = state::header;
  bool more = true;
  while (more && used < bytes.size()) {
    const std::string_view next = bytes.substr(used);
    // The parser asserts that much once it has seen the last chunk's size; less is never the rest.
    const bool is_chunked = state_ == state::body && parser_->is_chunked;
    if (is_chunked && next.size() < last_chunk.size()) break;
    // So much at a time that what stands beside a chunk is too long however it comes in.
    const std::string_view shown = is_chunked ? next.substr(0, rules_.header_bytes_max + 1) : next;
    const std::size_t before = used;
    more = parse_part(shown, used);
    if (state_ == state::body && shown.size() < next.size() && used > before) more = true;
  }
  if (state_ != state::body || !request_.body.empty()) wants_continue_ = false;
  return used;
}

/// True: there may be more to read in what is there.
bool http_request_reader::parse_part(std::string_view bytes, std::size_t& used) {
  const bool in_header = state_ == state::header;
  error_code failed;
  const std::size_t read =
      parser_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), failed);
  used += read;
  const std::size_t waiting = bytes.size() - read;
  if (in_header) {
    header_bytes_ += read;
    const std::size_t header = header_bytes_ + (state_ == state::header ? waiting : 0);
    if (header > rules_.header_bytes_max) {
      refusal_ = refusal_of(http::error::header_limit, rules_);
      state_ = state::refused;
    }
  }
  if (state_ == state::refused) return false;
  if (failed == http::error::need_more) {
    // The parser bounds a header, but not what stands around chunks.
    if (waiting > rules_.header_bytes_max && state_ == state::body) {
      refuse(400, "this is no HTTP request: what stands beside a chunk is too long");
    }
    return false;
  }
  if (failed) {
    refusal_ = failed == http::error::body_limit ? too_large(rules_) : refusal_of(failed, rules_);
    state_ = state::refused;
  } else if (parser_->is_done()) {
    state_ = state::complete;
  }
  return state_ == state::header || state_ == state::body;
}

bool http_request_reader::take_wants_continue() { return std::exchange(wants_continue_, false); }

void http_request_reader::refuse(unsigned status, std::string error, std::string headers) {
  refusal_.status = status;
  refusal_.error = std::move(error);
  refusal_.headers = std::move(headers);
  state_ = state::refused;
}

bool http_request_reader::names_path(std::string_view target) const {
  constexpr std::string_view scheme = "://";
  const std::size_t authority = target.find(scheme);
  if (!target.starts_with('/') && authority != target.npos) {  // a proxy's way to say it
    const std::size_t path = target.find('/', authority + scheme.size());
    target = path == target.npos ? std::string_view("/") : target.substr(path);
  }
  return target.substr(0, target.find('?')) == rules_.path;
}

// In the order of what must not be got wrong: where the body ends, who asks, what is asked.
void http_request_reader::judge_header() {
  const parser& said = *parser_;
  is_head_ = said.method == "HEAD";
  request_.is_http_10 = said.is_http_10;
  request_.keep_alive = said.keep_alive();
  if (said.lengths > 1) return refuse(400, "there is more than one Content-Length");
  if (said.encodings > 0 && request_.is_http_10) {
    return refuse(400, "HTTP/1.0 knows no Transfer-Encoding");
  }
  if (said.encodings > 0 && (said.encodings > 1 || !said.is_chunked)) {
    return refuse(400, "the only Transfer-Encoding known here is 'chunked', given once");
  }
  if (said.hosts > 1 || (said.hosts == 0 && !request_.is_http_10)) {
    return refuse(400, "there must be one Host");
  }
  if (!rules_.tokens.empty()) {
    constexpr std::string_view scheme = "Bearer ";
    if (!said.authorization) {
      return refuse(401, "a token is needed: Authorization: Bearer ...",
                    "WWW-Authenticate: Bearer\r\n");
    }
    const std::string_view shown = *said.authorization;
    const bool is_bearer = said.authorizations == 1 && same(shown.substr(0, scheme.size()), scheme);
    if (!is_bearer || !is_token(trimmed(shown.substr(scheme.size())), rules_.tokens)) {
      return refuse(401, "this token is not one that is known here",
                    "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n");
    }
  }
  judge_posting();
}

void http_request_reader::judge_posting() {
  const parser& said = *parser_;
  if (!names_path(said.target)) {
    return refuse(404, "there is nothing here; items are posted to " + rules_.path);
  }
  if (said.method != "POST") {
    return refuse(405, "items are posted: only POST is understood here", "Allow: POST\r\n");
  }
  if (said.expect && !same(*said.expect, "100-continue")) {
    return refuse(417, "the only expectation that can be met is 100-continue");
  }
  if (said.lengths == 0 && said.encodings == 0) {
    return refuse(411, "there must be a Content-Length, or Transfer-Encoding: chunked");
  }
  const auto length = said.content_length();
  if (length && *length > rules_.body_bytes_max) {
    refusal_ = too_large(rules_);
    state_ = state::refused;
    return;
  }
  if (said.is_encoded) {
    return refuse(415, "a body is read as it is, without a Content-Encoding",
                  "Accept-Encoding: identity\r\n");
  }
  const auto kind = kind_of_type(said.content_type);
  if (!kind) {
    return refuse(415,
                  "Content-Type must be application/json (one item, or an array of them) or "
                  "application/x-ndjson (an item a line), in UTF-8",
                  "Accept-Post: application/json, application/x-ndjson\r\n");
  }
  request_.kind = *kind;
  if (said.key) {
    auto key = said.keys == 1 ? key_of(*said.key) : std::nullopt;
    if (!key) {
      return refuse(400,
                    "there may be one Idempotency-Key, of 1 to 255 printable ASCII characters "
                    "without blanks, quotes and backslashes");
    }
    request_.key = std::move(*key);
  }
  if (length && *length > 0) request_.body.reserve(std::min<std::size_t>(*length, reserved_max));
  wants_continue_ = said.expect.has_value() && !request_.is_http_10;
}

}  // namespace brigade
