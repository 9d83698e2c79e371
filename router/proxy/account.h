#pragma once

#include "router/proxy/downstream.h"
#include "router/proxy/record.h"
#include "router/proxy/view.h"

namespace router::proxy {

class ShardServer;

/// Tells of one exchange exactly once, on every way out: metrics, and a line of the access log if there is one. `tell` is its
/// orderly end; an exchange that ends without it (an exception, the end of the process) is told as `internal` when this is
/// destroyed. Cannot fail: a line for which there is no memory is counted as dropped.
class Account {
 public:
  Account(ShardServer& server, const Views::Snapshot& view, const Downstream& downstream, Record& record)
      : server_(server), view_(view), downstream_(downstream), record_(record) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account();

  void report() noexcept;

 private:
  ShardServer& server_;
  const Views::Snapshot& view_;  // the exchange's: it may become a newer one
  const Downstream& downstream_;
  Record& record_;
  bool told_ = false;
};

}  // namespace router::proxy
