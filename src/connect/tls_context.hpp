/// TLS for every connector: one place that makes OpenSSL's contexts, and says what is wrong with a
/// certificate, a key or the far side in words that name the file or the host.
///
/// TLS 1.2 and newer, no renegotiation. A client always verifies: the chain against `ca` (or, where
/// none is given, the system's authorities), and the host's name or address. A server verifies its
/// clients when it has a `client_ca`, and then serves none without a certificate.
///
/// Files are PEM; a certificate's file has its chain behind it. They are read once, when the
/// context is made, which may block: where that matters call from a thread.
/// A key that is encrypted is refused, for there is nobody to ask for its passphrase.
///
/// Throws:  std::runtime_error, one line for the user, when a file cannot be used.
/// Thread safety: a context may be shared by connections of several threads; it is never changed.
#pragma once
#include <memory>
#include <string>

struct ssl_st;

namespace boost::asio::ssl {
class context;
}

namespace brigade::tls {

struct client_files {
  std::string ca = {};           ///< whom to trust; empty: the system's authorities
  std::string certificate = {};  ///< shown to a server that asks; empty: none
  std::string key = {};          ///< the certificate's; empty: in the same file
};
[[nodiscard]] std::shared_ptr<boost::asio::ssl::context> client_context(const client_files& files);

struct server_files {
  std::string certificate;
  std::string key = {};        ///< the certificate's; empty: in the same file
  std::string client_ca = {};  ///< who vouches for clients; empty: they need no certificate
};
[[nodiscard]] std::shared_ptr<boost::asio::ssl::context> server_context(const server_files& files);

/// Before a client's handshake: whom the certificate must be of, a name or an IP address (without
/// brackets); a name is also sent (SNI). A wildcard stands for one whole label.
void expect_host(ssl_st& connection, const std::string& host);

/// After a handshake that failed with `error` (its text): what is wrong with the far side's
/// certificate, or what the far side says, for people.
[[nodiscard]] std::string handshake_problem(ssl_st& connection, const std::string& error);

}  // namespace brigade::tls
