/// Certificates and keys for tests, made on the spot: an authority, and what it vouches for.
#pragma once
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace brigade::test {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using key_handle = std::unique_ptr<EVP_PKEY, freed_by<&EVP_PKEY_free>>;
using certificate_handle = std::unique_ptr<X509, freed_by<&X509_free>>;

inline void need(bool held, const char* what) {
  if (!held) throw std::runtime_error(std::string("cannot make a certificate: ") + what);
}

/// What `write` leaves in a memory BIO.
template <class Write>
std::string pem_of(Write write) {
  const std::unique_ptr<BIO, freed_by<&BIO_free_all>> out(BIO_new(BIO_s_mem()));
  need(write(out.get()) == 1, "writing PEM");
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

struct wanted_certificate {
  std::string names;          ///< `DNS:localhost,IP:127.0.0.1`; empty: an authority
  long from_seconds = -3600;  ///< of now
  long to_seconds = 86400;
};

/// A certificate with its key, and what it signs.
class identity {
 public:
  /// Signed by `issuer`, or by itself.
  explicit identity(const wanted_certificate& wanted, const identity* issuer = nullptr)
      : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    need(key_ && certificate_, "a key");
    static long serial = 1000;
    X509* const made = certificate_.get();
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made), wanted.from_seconds);
    X509_gmtime_adj(X509_getm_notAfter(made), wanted.to_seconds);
    X509_set_pubkey(made, key_.get());
    const std::string called = "test " + std::to_string(serial);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(called.c_str()), -1, -1, 0);
    const identity& by = issuer == nullptr ? *this : *issuer;
    X509_set_issuer_name(made, X509_get_subject_name(by.certificate_.get()));
    if (wanted.names.empty()) {
      extend(NID_basic_constraints, "critical,CA:TRUE");
    } else {
      extend(NID_subject_alt_name, wanted.names);
    }
    need(X509_sign(made, by.key_.get(), EVP_sha256()) > 0, "a signature");
  }

  [[nodiscard]] std::string certificate() const {
    return pem_of([&](BIO* out) { return PEM_write_bio_X509(out, certificate_.get()); });
  }
  [[nodiscard]] std::string key() const {
    return pem_of([&](BIO* out) {
      return PEM_write_bio_PrivateKey(out, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  [[nodiscard]] std::string encrypted_key() const {
    return pem_of([&](BIO* out) {
      return PEM_write_bio_PrivateKey(out, key_.get(), EVP_aes_128_cbc(),
                                      reinterpret_cast<const unsigned char*>("word"), 4, nullptr,
                                      nullptr);
    });
  }

 private:
  void extend(int what, const std::string& value) {
    const std::unique_ptr<X509_EXTENSION, freed_by<&X509_EXTENSION_free>> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str()));
    need(extension != nullptr, "an extension");
    X509_add_ext(certificate_.get(), extension.get(), -1);
  }
  key_handle key_;
  certificate_handle certificate_;
};

}  // namespace brigade::test
