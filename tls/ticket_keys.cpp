#include "tls/ticket_keys.h"

#include <absl/strings/str_cat.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <cstdlib>
#include <cstring>

#include "tls/credential.h"

namespace router::tls {

TicketKeys::TicketKeys() : impl_(std::make_unique<Impl>()) {}
TicketKeys::~TicketKeys() = default;
TicketKeys::Impl::~Impl() { OPENSSL_cleanse(keys.data(), keys.size() * sizeof(Keys)); }

TicketKeys::Keys TicketKeys::Impl::newest() const {
  const std::lock_guard lock(mutex);
  return keys.front();
}

bool TicketKeys::Impl::find(const unsigned char* name, Keys& into, bool& is_newest) const {
  const std::lock_guard lock(mutex);
  for (const Keys& each : keys) {
    if (std::memcmp(each.name.data(), name, each.name.size()) != 0) continue;
    into = each;
    is_newest = &each == &keys.front();
    return true;
  }
  return false;
}

namespace {

absl::Status read_keys(const std::string& file, TicketKeys::Keys& into) {
  auto text = read_file(file);
  if (!text.ok()) return text.status();
  // nginx's format: name (16 bytes), HMAC key (32), AES key (32).
  const bool fits = text->size() == 80;
  if (fits) {
    std::memcpy(into.name.data(), text->data(), 16);
    std::memcpy(into.mac.data(), text->data() + 16, 32);
    std::memcpy(into.cipher.data(), text->data() + 48, 32);
  }
  OPENSSL_cleanse(text->data(), text->size());
  return fits ? absl::OkStatus() : mistake(file, "a ticket key is 80 random bytes (openssl rand 80)");
}

}  // namespace

absl::StatusOr<std::shared_ptr<TicketKeys>> TicketKeys::make(const std::vector<std::string>& files,
                                                             std::vector<FileMistake>* mistakes) {
  std::shared_ptr<TicketKeys> made(new TicketKeys);
  made->impl_->random = files.empty();
  absl::Status first = absl::OkStatus();
  const auto note = [&first, mistakes](std::size_t index, const absl::Status& wrong) {
    if (mistakes != nullptr) mistakes->push_back({FileMistake::Role::kTicketKey, index, std::string(wrong.message())});
    first.Update(wrong);
  };
  for (std::size_t index = 0; index < files.size() && index < Impl::kFilesMax; ++index) {
    const absl::Status read = read_keys(files[index], made->impl_->keys.emplace_back());
    if (!read.ok()) note(index, read);
  }
  if (files.size() > Impl::kFilesMax) {
    note(Impl::kFilesMax, mistake(files[Impl::kFilesMax], absl::StrCat("more than ", Impl::kFilesMax, " ticket keys")));
  }
  if (!first.ok()) return first;
  if (files.empty()) made->rotate();
  return made;
}

void TicketKeys::replace_by(TicketKeys& fresh) noexcept {
  if (impl_->random && fresh.impl_->random) return;
  impl_->random = fresh.impl_->random;
  impl_->replace(fresh.impl_->keys);
}

void TicketKeys::Impl::replace(std::vector<Keys>& fresh) noexcept {
  {
    const std::lock_guard lock(mutex);
    keys.swap(fresh);
  }
  OPENSSL_cleanse(fresh.data(), fresh.size() * sizeof(Keys));
  fresh.clear();
}

void TicketKeys::rotate() {
  if (!impl_->random) return;
  Keys fresh;
  const bool drawn = RAND_bytes(fresh.name.data(), static_cast<int>(fresh.name.size())) == 1 &&
                     RAND_bytes(fresh.cipher.data(), static_cast<int>(fresh.cipher.size())) == 1 &&
                     RAND_bytes(fresh.mac.data(), static_cast<int>(fresh.mac.size())) == 1;
  if (!drawn) std::abort();  // without random numbers no connection is safe
  const std::lock_guard lock(impl_->mutex);
  impl_->keys.insert(impl_->keys.begin(), fresh);
  OPENSSL_cleanse(&fresh, sizeof fresh);
  if (impl_->keys.size() <= Impl::kRandomKept) return;
  OPENSSL_cleanse(&impl_->keys.back(), sizeof(Keys));
  impl_->keys.pop_back();
}

}  // namespace router::tls
