#include "connect/tls_context.hpp"

#include "connect/certificates.hpp"
#include "connect/temporary_folder.hpp"

#include <boost/asio/ssl/context.hpp>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <functional>

namespace brigade {
namespace {

using test::identity;
using test::temporary_folder;
using context = std::shared_ptr<boost::asio::ssl::context>;
using connection = std::unique_ptr<SSL, test::freed_by<&SSL_free>>;

const identity& authority() {
  static const identity made({});
  return made;
}

/// Files of an authority, of a server at localhost, and of a client.
class tls_context : public ::testing::Test {
 protected:
  tls_context() {
    folder.write("ca.pem", authority().certificate());
    put("server", {.names = "DNS:localhost,IP:127.0.0.1,DNS:*.example.org"});
    put("client", {.names = "DNS:someone"});
  }
  void put(const std::string& name, const test::wanted_certificate& wanted,
           const identity& by = authority()) const {
    const identity made(wanted, &by);
    folder.write(name + ".pem", made.certificate());
    folder.write(name + ".key", made.key());
  }
  [[nodiscard]] context server(const std::string& name = "server",
                               const std::string& client_ca = "") const {
    return tls::server_context({.certificate = folder / (name + ".pem"),
                                .key = folder / (name + ".key"),
                                .client_ca = client_ca.empty() ? "" : folder / client_ca});
  }
  [[nodiscard]] context client(const std::string& shows = "") const {
    tls::client_files files{.ca = folder / "ca.pem"};
    if (!shows.empty()) files.certificate = folder / (shows + ".pem");
    if (!shows.empty()) files.key = folder / (shows + ".key");
    return tls::client_context(files);
  }
  temporary_folder folder;
};

struct met {
  bool client = false;  ///< its handshake went well
  bool server = false;
  std::string problem;  ///< the client's
  std::string protocol;
};

connection connected(const context& with, BIO* through) {
  connection made(SSL_new(with->native_handle()));
  SSL_set_bio(made.get(), through, through);
  return made;
}

/// A handshake in memory.
met meet(const context& client_side, const context& server_side, const std::string& host) {
  BIO* left = nullptr;
  BIO* right = nullptr;
  BIO_new_bio_pair(&left, 0, &right, 0);
  const connection client = connected(client_side, left);
  const connection server = connected(server_side, right);
  tls::expect_host(*client, host);
  met result;
  for (int turn = 0; turn < 20; ++turn) {
    if (!result.client) result.client = SSL_connect(client.get()) == 1;
    if (!result.server) result.server = SSL_accept(server.get()) == 1;
  }
  char byte = 0;  // with TLS 1.3 a client hears only now that it was refused
  if (result.client && SSL_read(client.get(), &byte, 1) <= 0) {
    result.client = SSL_get_shutdown(client.get()) == 0 && result.server;
  }
  result.problem = tls::handshake_problem(*client, "no reason");
  result.protocol = SSL_get_version(client.get());
  return result;
}

std::string refusal(const std::function<void()>& make) {
  try {
    make();
  } catch (const std::runtime_error& refused) {
    return refused.what();
  }
  return "accepted";
}

TEST_F(tls_context, a_server_of_the_right_name_and_authority_is_met) {
  for (const char* host : {"localhost", "127.0.0.1", "a.example.org"}) {
    const met result = meet(client(), server(), host);
    EXPECT_TRUE(result.client && result.server) << host << ": " << result.problem;
    EXPECT_EQ(result.protocol, "TLSv1.3");
  }
}

TEST_F(tls_context, a_certificate_of_another_host_is_refused) {
  for (const char* host : {"other.org", "127.0.0.2", "a.b.example.org", "example.org"}) {
    const met result = meet(client(), server(), host);
    EXPECT_FALSE(result.client) << host;
    EXPECT_NE(result.problem.find("mismatch"), std::string::npos) << result.problem;
  }
}

TEST_F(tls_context, an_expired_a_future_and_a_foreign_certificate_are_refused) {
  put("expired", {.names = "DNS:localhost", .from_seconds = -7200, .to_seconds = -60});
  put("future", {.names = "DNS:localhost", .from_seconds = 3600});
  const identity stranger({});
  put("foreign", {.names = "DNS:localhost"}, stranger);
  const std::pair<const char*, const char*> cases[] = {{"expired", "expired"},
                                                       {"future", "not yet valid"},
                                                       {"foreign", "unable to get local issuer"}};
  for (const auto& [name, why] : cases) {
    const met result = meet(client(), server(name), "localhost");
    EXPECT_FALSE(result.client) << name;
    EXPECT_NE(result.problem.find(why), std::string::npos) << result.problem;
  }
}

TEST_F(tls_context, nobody_else_than_the_given_authority_is_trusted) {
  const context trusting_the_system = tls::client_context({});
  EXPECT_FALSE(meet(trusting_the_system, server(), "localhost").client);
}

TEST_F(tls_context, a_protocol_before_1_2_is_refused) {
  const context old = client();
  SSL_CTX_set_security_level(old->native_handle(), 0);
  SSL_CTX_set_min_proto_version(old->native_handle(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(old->native_handle(), TLS1_1_VERSION);
  const met result = meet(old, server(), "localhost");
  EXPECT_FALSE(result.client || result.server);
  EXPECT_NE(result.problem.find("handshake failed"), std::string::npos) << result.problem;
  SSL_CTX_set_max_proto_version(old->native_handle(), TLS1_2_VERSION);
  EXPECT_EQ(meet(old, server(), "localhost").protocol, "TLSv1.2");
}

TEST_F(tls_context, a_server_with_a_client_ca_serves_only_whom_it_vouches_for) {
  const context strict = server("server", "ca.pem");
  EXPECT_TRUE(meet(client("client"), strict, "localhost").client);
  EXPECT_FALSE(meet(client(), strict, "localhost").server);
  const identity stranger({});
  put("stranger", {.names = "DNS:someone"}, stranger);
  EXPECT_FALSE(meet(client("stranger"), strict, "localhost").server);
  EXPECT_TRUE(meet(client("client"), server(), "localhost").client) << "shown to nobody";
}

TEST_F(tls_context, certificate_and_key_may_share_a_file) {
  folder.write("both.pem", folder.read("server.pem") + folder.read("server.key"));
  const context both = tls::server_context({.certificate = folder / "both.pem"});
  EXPECT_TRUE(meet(client(), both, "localhost").client);
}

TEST_F(tls_context, files_that_cannot_be_used_are_named_with_the_reason) {
  folder.write("empty.pem", "");
  folder.write("text.pem", "no PEM at all\n");
  folder.write("torn.pem", authority().certificate().substr(0, 200));
  folder.write("locked.key", identity({.names = "DNS:x"}).encrypted_key());
  const auto trusting = [&](const std::string& name) {
    return refusal([&] { (void)tls::client_context({.ca = folder / name}); });
  };
  const auto showing = [&](const std::string& certificate, const std::string& key) {
    return refusal([&] {
      (void)tls::server_context({.certificate = folder / certificate, .key = folder / key});
    });
  };
  const std::string at = "TLS: " + folder.path().string() + "/";
  EXPECT_EQ(trusting("none.pem"), at + "none.pem: No such file or directory");
  EXPECT_EQ(trusting("."), at + ".: is a folder, not a PEM file");
  for (const char* name : {"empty.pem", "text.pem", "torn.pem", "server.key"}) {
    EXPECT_EQ(trusting(name).find(at + name + ": has no certificate that can be read"), 0U)
        << trusting(name);
    const std::string shown = showing(name, "server.key");
    EXPECT_EQ(shown.find(at + name + ": has no certificate that can be used"), 0U) << shown;
  }
  EXPECT_EQ(showing("server.pem", "client.key"),
            at + "client.key: is not the key of " + (folder / "server.pem"));
  EXPECT_EQ(showing("server.pem", "none.key"), at + "none.key: No such file or directory");
  EXPECT_EQ(showing("server.pem", "text.pem").find(at + "text.pem: has no private key"), 0U);
  EXPECT_EQ(showing("server.pem", "server.pem").find(at + "server.pem: has no private key"), 0U);
  EXPECT_EQ(showing("server.pem", "locked.key").find(at + "locked.key: the key is encrypted"), 0U)
      << showing("server.pem", "locked.key");
}

}  // namespace
}  // namespace brigade
