#pragma once

#include <memory>
#include <vector>

#include "router/dispatch/slots.h"

namespace router::dispatch {

class Line;
class Replica;

/// Whom a slot of a pod was set aside for, in another line than the one that gave it back.
struct Heir {
  std::weak_ptr<Line> line;
  std::weak_ptr<Replica> replica;
};

/// What an operation under the line's mutex has put aside, for after it: destructors may close connections, and another line
/// is told only while no mutex is held.
struct Retired {
  std::vector<std::unique_ptr<Cargo>> cargo;
  std::vector<std::shared_ptr<Replica>> replicas;
  std::vector<Heir> heirs;
};

}  // namespace router::dispatch
