#include "router/proxy/handshakes.h"

namespace router::proxy {

Handshakes::Entry::Entry(Handshakes& all, runtime::Socket& socket, std::size_t max) : all_(all), socket_(socket) {
  while (all_.oldest_ != nullptr && all_.count_ >= max) all_.cut_oldest();
  all_.append(*this);
}

Handshakes::Entry::~Entry() {
  if (!cut_) all_.remove(*this);
}

void Handshakes::append(Entry& entry) {
  entry.older_ = newest_;
  (newest_ == nullptr ? oldest_ : newest_->newer_) = &entry;
  newest_ = &entry;
  ++count_;
}

void Handshakes::remove(Entry& entry) {
  (entry.older_ == nullptr ? oldest_ : entry.older_->newer_) = entry.newer_;
  (entry.newer_ == nullptr ? newest_ : entry.newer_->older_) = entry.older_;
  --count_;
}

void Handshakes::cut_oldest() {
  Entry& entry = *oldest_;
  remove(entry);
  entry.cut_ = true;
  entry.socket_.wake_soon();
}

}  // namespace router::proxy
