#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <sstream>

#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

std::string content_of(const std::string& file) {
  std::ostringstream content;
  content << std::ifstream(file).rdbuf();
  return std::move(content).str();
}

/// The message that refuses a server's certificate; "accepted" if none does.
std::string refusal(const CertificatePaths& paths) {
  ServerOptions options;
  options.certificates = {files(paths)};
  const auto made = ServerContext::make(options, ticket_keys(), 1);
  return made.ok() ? "accepted" : std::string(made.status().message());
}

TEST(Certificates, AreAcceptedWithTheirNamesAndEnd) {
  CertificateRequest request;
  request.names = {"A.example.org", "*.example.org", "10.1.2.3"};
  const CertificatePaths paths = authority().issue(request);
  const auto context = server_context({paths});
  ASSERT_EQ(context->certificates().size(), 1u);
  const CertificateInfo& info = context->certificates().front();
  EXPECT_EQ(info.file, paths.certificate_file);
  EXPECT_EQ(info.names, (std::vector<std::string>{"a.example.org", "*.example.org"}));
  const auto left = info.not_after - std::chrono::system_clock::now();
  EXPECT_GT(left, std::chrono::hours(23));
  EXPECT_LE(left, std::chrono::hours(24));
}

TEST(Certificates, MayNeverExpire) {
  constexpr std::chrono::sys_seconds kNever(std::chrono::seconds(253402300799));  // 99991231235959Z, RFC 5280 §4.1.2.5
  CertificateRequest request;
  request.ends = kNever - std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto left = server_context({authority().issue(request)})->certificates().front().not_after - kNever;
  EXPECT_LE(std::chrono::abs(left), std::chrono::seconds(10));
}

TEST(Certificates, WithoutAlternativeNamesAreNamedByTheirCommonName) {
  CertificateRequest request;
  request.names = {};
  EXPECT_EQ(server_context({authority().issue(request)})->certificates().front().names,
            (std::vector<std::string>{"test certificate"}));
}

TEST(Certificates, OfManyShardsComeFromOneReading) {
  ServerOptions options;
  options.certificates = {files(localhost())};
  const auto made = ServerContext::make(options, ticket_keys(), 3);
  ASSERT_TRUE(made.ok());
  ASSERT_EQ(made->size(), 3u);
  EXPECT_NE((*made)[0]->get(), (*made)[1]->get());
  EXPECT_EQ(SSL_CTX_get0_certificate((*made)[0]->get()), SSL_CTX_get0_certificate((*made)[2]->get()));
}

/// Such certificates ended a start and refused every reload, although the files had no mistake.
TEST(Certificates, WereRefusedWhenTheirTimeWasOverOrHadNotCome) {
  CertificateRequest over;
  over.begins = std::chrono::hours(-2);
  over.ends = std::chrono::seconds(-60);
  EXPECT_EQ(refusal(authority().issue(over)), "accepted");
  CertificateRequest to_come;
  to_come.begins = std::chrono::hours(1);
  const CertificateInfo info = server_context({authority().issue(to_come)})->certificates().front();
  EXPECT_GT(info.not_before, wall_clock() + std::chrono::minutes(59));
  EXPECT_LE(info.not_before, wall_clock() + std::chrono::minutes(60));
}

TEST(Certificates, AreRefusedWithUnreadableNames) {
  const CertificatePaths paths = authority().issue();
  const Owned<BIO> file(BIO_new_file(paths.certificate_file.c_str(), "r+"));
  const Owned<X509> certificate(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
  X509_EXTENSION* names = X509_get_ext(certificate.get(), X509_get_ext_by_NID(certificate.get(), NID_subject_alt_name, -1));
  const Owned<ASN1_OCTET_STRING> nonsense(ASN1_OCTET_STRING_new());
  ASN1_OCTET_STRING_set(nonsense.get(), reinterpret_cast<const unsigned char*>("\x30\x7f"), 2);
  X509_EXTENSION_set_data(names, nonsense.get());
  i2d_re_X509_tbs(certificate.get(), nullptr);  // encodes the certificate again
  BIO_seek(file.get(), 0);
  PEM_write_bio_X509(file.get(), certificate.get());
  BIO_flush(file.get());
  EXPECT_EQ(refusal(paths), paths.certificate_file + ": the first certificate's subjectAltName cannot be read");
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST(Certificates, AreRefusedWithSomebodyElsesKey) {
  CertificatePaths paths = authority().issue();
  paths.key_file = localhost().key_file;
  EXPECT_EQ(refusal(paths),
            paths.key_file + ": the private key does not belong to the first certificate in " + paths.certificate_file);
  CertificateRequest rsa;
  rsa.key = CertificateRequest::Key::kRsa;
  paths.key_file = authority().issue(rsa).key_file;
  EXPECT_EQ(refusal(paths),
            paths.key_file + ": the private key does not belong to the first certificate in " + paths.certificate_file);
}

TEST(Certificates, AreRefusedWhenMissing) {
  CertificatePaths paths = localhost();
  paths.certificate_file = "/no/such/file.pem";
  EXPECT_EQ(refusal(paths), "/no/such/file.pem: cannot be read: No such file or directory");
  paths = localhost();
  paths.key_file = "/no/such/key.pem";
  EXPECT_EQ(refusal(paths), "/no/such/key.pem: cannot be read: No such file or directory");
  paths = localhost();
  paths.certificate_file = "/tmp";
  EXPECT_NE(refusal(paths), "accepted");
}

TEST(Certificates, AreRefusedWhenEmpty) {
  CertificatePaths paths = localhost();
  paths.certificate_file = authority().write_file("");
  EXPECT_EQ(refusal(paths), paths.certificate_file + ": is empty");
}

TEST(Certificates, AreRefusedWhenTheFileHoldsNone) {
  CertificatePaths paths = localhost();
  paths.certificate_file = authority().write_file("not a certificate\n");
  EXPECT_EQ(refusal(paths), paths.certificate_file + ": holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  paths.certificate_file = paths.key_file;
  EXPECT_EQ(refusal(paths), paths.certificate_file + ": holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
}

TEST(Certificates, AreRefusedWhenMalformed) {
  const std::string good = content_of(localhost().certificate_file);
  CertificatePaths paths = localhost();
  paths.certificate_file = authority().write_file(good.substr(0, good.size() / 2));
  EXPECT_EQ(refusal(paths), paths.certificate_file + ": certificate 1 is malformed PEM");
  std::string damaged = good;
  damaged[100] = damaged[100] == 'A' ? 'B' : '*';
  paths.certificate_file = authority().write_file(good + damaged);
  EXPECT_EQ(refusal(paths), paths.certificate_file + ": certificate 2 is malformed PEM");
}

TEST(Certificates, AreRefusedWithAMalformedKey) {
  const std::string good = content_of(localhost().key_file);
  CertificatePaths paths = localhost();
  paths.key_file = authority().write_file(good.substr(0, good.size() / 2));
  EXPECT_EQ(refusal(paths), paths.key_file + ": holds no private key in PEM, or a malformed one");
}

TEST(Certificates, MayShareOneFileWithTheirKeyAndBringTheirChain) {
  const std::string combined =
      content_of(localhost().key_file) + content_of(localhost().certificate_file) + content_of(authority().ca_file());
  CertificatePaths paths;
  paths.certificate_file = paths.key_file = authority().write_file(combined);
  const auto context = server_context({paths});
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context->get(), &chain);
  EXPECT_EQ(sk_X509_num(chain), 1);
}

TEST(Certificates, MayHaveAnEncryptedKey) {
  CertificateRequest request;
  request.password = "a password of the test";
  const CertificatePaths paths = authority().issue(request);
  EXPECT_EQ(refusal(paths), "accepted");

  CertificatePaths marked = paths;
  marked.password_file = authority().write_file("\xef\xbb\xbf" + request.password + "\r\n");
  EXPECT_EQ(refusal(marked), "accepted") << "a byte order mark does not belong to the password";

  CertificatePaths without = paths;
  without.password_file.clear();
  EXPECT_EQ(refusal(without), paths.key_file + ": the private key is encrypted: give its password_file");

  CertificatePaths wrong = paths;
  wrong.password_file = authority().write_file("guessed wrong\n");
  const std::string message = refusal(wrong);
  EXPECT_EQ(message, paths.key_file + ": the private key does not open with the password in " + wrong.password_file);
  EXPECT_EQ(message.find("guessed"), std::string::npos);
}

TEST(Certificates, AreRefusedAllAtOnceEachByItsPlaceAndFile) {
  using Role = FileMistake::Role;
  CertificatePaths bad = localhost();
  bad.certificate_file = authority().write_file("nothing");
  bad.key_file = "/no/such/key.pem";
  CertificatePaths other = localhost();
  other.password_file = "/no/such/password";
  CertificatePaths foreign = authority().issue();
  foreign.key_file = authority().issue().key_file;
  ServerOptions options;
  options.certificates = {files(localhost()), files(bad), files(other), files(foreign)};
  std::vector<FileMistake> mistakes;
  const auto made = ServerContext::make(options, ticket_keys(), 1, &mistakes);
  ASSERT_FALSE(made.ok());
  ASSERT_EQ(mistakes.size(), 4u);
  EXPECT_EQ(made.status().message(), mistakes[0].text);
  const auto expect = [&mistakes](std::size_t at, std::size_t certificate, Role role, const std::string& file) {
    EXPECT_EQ(mistakes[at].index, certificate);
    EXPECT_EQ(mistakes[at].role, role);
    EXPECT_TRUE(mistakes[at].text.starts_with(file + ": ")) << mistakes[at].text;
  };
  expect(0, 1, Role::kCertificate, bad.certificate_file);
  expect(1, 1, Role::kKey, bad.key_file);
  expect(2, 2, Role::kPassword, other.password_file);
  expect(3, 3, Role::kKey, foreign.key_file);
}

TEST(Certificates, AreRefusedWithAKeyThatIsTooShortForOpenSsl) {
  const Owned<EVP_PKEY> key(EVP_RSA_gen(512));
  const Owned<X509> certificate(X509_new());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 60);
  X509_set_pubkey(certificate.get(), key.get());
  ASSERT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  const Owned<BIO> pem(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(pem.get(), certificate.get());
  PEM_write_bio_PrivateKey(pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(pem.get(), &data);
  CertificatePaths paths;
  paths.certificate_file = paths.key_file = authority().write_file(std::string(data, static_cast<std::size_t>(size)));
  EXPECT_EQ(refusal(paths).find(paths.certificate_file + ": the certificate cannot be used: "), 0u) << refusal(paths);
}

TEST(Certificates, MustBeGiven) {
  const auto made = ServerContext::make(ServerOptions{}, ticket_keys(), 1);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().message(), "no certificate is given");
}

TEST(Authorities, AreRefusedWhenMalformed) {
  ClientOptions options;
  options.ca_file = authority().write_file("nothing");
  const auto made = ClientContext::make(options, 1);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().message(), options.ca_file + ": holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
}

}  // namespace
}  // namespace router::tls::test
