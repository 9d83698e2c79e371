#pragma once

#include "tests/unit/fleet/world.h"

namespace router::fleet::test {

/// Random faults, one after the other, until all is healed.
class Trouble {
 public:
  explicit Trouble(World& world);

  void run(Time length) { world_.run_for(length); }
  void heal_all();

  /// 30 s; but if every serving member ended without proof, the Lease has to be without a stamp for take_after first.
  Time patience() const;

 private:
  void start(int host);
  void keep_started();
  void forget_the_lost();
  /// The serving members, in the newest roster that the Lease or a process has: the Lease may be lost or old.
  std::vector<std::string> newest_serving() const;
  void next();
  void one();
  int host() { return world_.pick(world_.hosts()); }
  void cut();
  void split();
  void crash(bool proof);
  void drain();
  void slots();
  void services();
  void lists();
  void any_lists();
  bool reaches(const Process& process, int out) const;
  void api();
  void lease();

  World& world_;
  bool over_ = false;
  int added_ = 0;
};

}  // namespace router::fleet::test
