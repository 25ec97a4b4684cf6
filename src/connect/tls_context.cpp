#include "connect/tls_context.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace brigade::tls {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  throw std::runtime_error("TLS: " + file + ": " + why);
}

std::string contents(const std::string& file) {
  std::error_code unknown;
  if (std::filesystem::is_directory(file, unknown)) refuse(file, "is a folder, not a PEM file");
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) {
    refuse(file, errno == 0 ? "cannot be read" : std::generic_category().message(errno));
  }
  return text;
}

/// Without it OpenSSL would ask on the terminal. It says that there is no passphrase.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

void trust(asio::ssl::context& context, const std::string& file) {
  error_code failed;
  context.add_certificate_authority(asio::buffer(contents(file)), failed);
  if (failed) {
    refuse(file, "has no certificate that can be read (PEM, '-----BEGIN CERTIFICATE-----'): " +
                     failed.message());
  }
}

void show(asio::ssl::context& context, const std::string& certificate, std::string key) {
  if (key.empty()) key = certificate;
  error_code failed;
  context.use_certificate_chain(asio::buffer(contents(certificate)), failed);
  if (failed) {
    refuse(certificate,
           "has no certificate that can be used (PEM, '-----BEGIN CERTIFICATE-----'): " +
               failed.message());
  }
  const std::string text = contents(key);
  bool encrypted = false;
  SSL_CTX* const handle = context.native_handle();
  SSL_CTX_set_default_passwd_cb(handle, no_passphrase);
  SSL_CTX_set_default_passwd_cb_userdata(handle, &encrypted);
  context.use_private_key(asio::buffer(text), asio::ssl::context::pem, failed);
  SSL_CTX_set_default_passwd_cb(handle, nullptr);
  SSL_CTX_set_default_passwd_cb_userdata(handle, nullptr);
  if (encrypted) {
    refuse(key,
           "the key is encrypted, and there is nobody to ask for its passphrase; decrypt it "
           "(openssl pkey -in " +
               key + " -out PLAIN) and keep it mode 0600");
  }
  // Of a key that is not the certificate's OpenSSL says so here, and keeps neither.
  const bool matches = !failed && SSL_CTX_check_private_key(handle) == 1;
  if (failed && text.find("PRIVATE KEY-----") == std::string::npos) {
    refuse(key, "has no private key (PEM, '-----BEGIN PRIVATE KEY-----')");
  }
  if (failed && failed.message().find("mismatch") == std::string::npos) {
    refuse(key, "has no private key that can be used: " + failed.message());
  }
  if (!matches) refuse(key, "is not the key of " + certificate);
}

std::shared_ptr<asio::ssl::context> made(asio::ssl::context::method method) {
  auto context = std::make_shared<asio::ssl::context>(method);
  SSL_CTX* const handle = context->native_handle();
  SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION);
  SSL_CTX_set_options(handle, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(handle, SSL_MODE_RELEASE_BUFFERS);
  return context;
}

bool is_address(const std::string& host) {
  ASN1_OCTET_STRING* const parsed = a2i_IPADDRESS(host.c_str());
  ASN1_OCTET_STRING_free(parsed);
  return parsed != nullptr;
}

}  // namespace

std::shared_ptr<asio::ssl::context> client_context(const client_files& files) {
  auto context = made(asio::ssl::context::tls_client);
  if (files.ca.empty()) {
    context->set_default_verify_paths();
  } else {
    trust(*context, files.ca);
  }
  if (!files.certificate.empty()) show(*context, files.certificate, files.key);
  context->set_verify_mode(asio::ssl::verify_peer);
  return context;
}

std::shared_ptr<asio::ssl::context> server_context(const server_files& files) {
  auto context = made(asio::ssl::context::tls_server);
  show(*context, files.certificate, files.key);
  SSL_CTX* const handle = context->native_handle();
  SSL_CTX_set_options(handle, SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (files.client_ca.empty()) return context;
  trust(*context, files.client_ca);
  context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
  // What clients are told to choose a certificate by; and what a resumed session must match.
  SSL_CTX_set_client_CA_list(handle, SSL_load_client_CA_file(files.client_ca.c_str()));
  static constexpr unsigned char session_id[] = "brigade";
  SSL_CTX_set_session_id_context(handle, session_id, sizeof(session_id) - 1);
  return context;
}

void expect_host(SSL& connection, const std::string& host) {
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(&connection);
  if (is_address(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str());
    return;
  }
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size());
  SSL_set_tlsext_host_name(&connection, host.c_str());
}

std::string handshake_problem(SSL& connection, const std::string& error) {
  const long verdict = SSL_get_verify_result(&connection);
  if (verdict == X509_V_OK) return "the TLS handshake failed: " + error;
  return std::string("its certificate is not to be trusted: ") +
         X509_verify_cert_error_string(verdict);
}

}  // namespace brigade::tls
