#include "router/proxy/handshakes.h"

namespace router::proxy {

Handshakes::Entry::Entry(Handshakes& all, runtime::Socket& socket, std::size_t max) : all_(all), socket_(socket) {
  all_.cut_oldest_beyond(max - 1);
  all_.under_way_.push_back(*this);
}

Handshakes::Entry::~Entry() {
  if (!cut_) all_.under_way_.erase(List::s_iterator_to(*this));
}

void Handshakes::cut_oldest_beyond(std::size_t max) {
  for (int look = 0; look < kLooksMax && under_way_.size() > max; ++look) {
    Entry& oldest = under_way_.front();
    under_way_.pop_front();
    if (oldest.socket_.has_arrived()) {
      under_way_.push_back(oldest);
    } else {
      oldest.cut_ = true;
      oldest.socket_.wake_soon();
    }
  }
}

}  // namespace router::proxy
