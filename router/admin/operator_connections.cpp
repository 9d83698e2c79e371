#include "router/admin/operator_connections.h"

#include <utility>

namespace router::admin {

OperatorConnections::Holder::~Holder() {
  wait_for(Wait::kNothing);
  --connections_->alive_;
}

void OperatorConnections::Holder::wait_for(Wait what) {
  const Wait before = std::exchange(waits_for_, what);
  if (before == Wait::kHead) connections_->heads_.erase(List::s_iterator_to(*this));
  if (before == Wait::kRest) connections_->rests_.erase(List::s_iterator_to(*this));
  if (what == Wait::kHead) connections_->heads_.push_back(*this);
  if (what == Wait::kRest) connections_->rests_.push_back(*this);
}

void OperatorConnections::keep_at_most(std::size_t max) {
  while (taken() > max) make_room();
}

void OperatorConnections::make_room() {
  for (int look = 0; look < kLooksMax && !heads_.empty() && heads_.front().has_arrived(); ++look) {
    heads_.splice(heads_.end(), heads_, heads_.begin());
  }
  if (!heads_.empty()) return heads_.front().close();
  if (!rests_.empty()) rests_.front().close();
}

void OperatorConnections::end_each_after_its_next_answer() {
  for (Holder& each : heads_) each.end_after_next_answer();
  for (Holder& each : rests_) each.end_after_next_answer();
}

}  // namespace router::admin
