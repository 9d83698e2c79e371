#include "router/proxy/handshakes.h"

namespace router::proxy {

Handshakes::Entry::Entry(Handshakes& all, runtime::Socket& socket, std::size_t max) : all_(all), socket_(socket) {
  all_.cut_oldest_beyond(max - 1);
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

void Handshakes::cut_oldest_beyond(std::size_t max) {
  for (int look = 0; look < kLooksMax && count_ > max; ++look) {
    Entry& entry = *oldest_;
    remove(entry);
    if (entry.socket_.has_arrived()) {
      append(entry);
    } else {
      entry.cut_ = true;
      entry.socket_.wake_soon();
    }
  }
}

}  // namespace router::proxy
