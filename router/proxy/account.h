#pragma once

#include "router/proxy/downstream.h"
#include "router/proxy/record.h"
#include "router/proxy/view.h"

namespace router::proxy {

class ShardServer;

/// Counts one exchange in the metrics and writes its access log line, if there is a log: exactly once, on every way out.
/// `report` is called at the orderly end. If it was not called (an exception, the end of the process), the destructor reports
/// the exchange as `internal`. Cannot fail: a log line for which there is no memory is counted as dropped.
class Account {
 public:
  Account(ShardServer& server, const Views::Snapshot& view, const Downstream& downstream, Record& record)
      : server_(server), view_(view), downstream_(downstream), record_(record) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account();

  void report() noexcept;
  /// Another router reports the exchange, and this one only what happened between it and the pods.
  void leave_to_other() noexcept { by_other_ = true; }

 private:
  ShardServer& server_;
  const Views::Snapshot& view_;  // a reference: the exchange may replace its view by a newer one
  const Downstream& downstream_;
  Record& record_;
  bool told_ = false;
  bool by_other_ = false;
};

}  // namespace router::proxy
