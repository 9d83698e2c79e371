#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "router/scaling/settings.h"

namespace router::scaling {

/// What one member counted for one deployment since its start. Only authenticated requests that no limit refused count,
/// mirrored copies do not. Busy and waiting are counted where the slot is held and where the place in the queue is, arrivals
/// where the client is: a request that is sent on to another member counts once in each.
struct Integrals {
  double busy = 0;            // slot-seconds
  double waiting = 0;         // request-seconds in the queue
  double held = 0;            // seconds, of slots that were given back
  double told = 0;            // seconds of Retry-After, of requests that were refused for capacity
  std::uint64_t returns = 0;  // slots that were given back; held / returns is the mean held time
  std::uint64_t arrivals = 0;
  std::uint64_t refusals = 0;  // for capacity; part of the arrivals of the fleet, where the refusal was made

  bool operator==(const Integrals&) const = default;
};

/// One frame of a member. A difference of two frames is exact whatever was lost between them.
struct Signal {
  std::uint64_t incarnation = 0;  // another process: its integrals start at 0
  Seconds uptime{0};              // by the sender's clock: what the integrals are divided by does not depend on the network
  Integrals since_start;
  std::uint32_t waking = 0;  // requests held now, until a first replica is ready
};

/// The load of a deployment over all members, averaged.
struct Load {
  double busy = 0;      // slots
  double waiting = 0;   // requests
  double waking = 0;    // requests held now
  double arrivals = 0;  // per second
  double refusals = 0;  // per second
  Seconds told{0};      // mean Retry-After of those refusals

  bool operator==(const Load&) const = default;
};

/// The integrals of one process at the times of its frames, as far back as means will be asked for; at most about 26 of them.
class Course {
 public:
  explicit Course(Seconds longest) : longest_(longest) {}

  /// `uptime` is after the last one's.
  void add(Seconds uptime, const Integrals& integrals);
  void clear() { points_.clear(); }
  /// Two points at least: there are rates.
  bool has_rates() const { return points_.size() > 1; }
  bool empty() const { return points_.empty(); }
  Seconds uptime() const { return points_.back().uptime; }
  const Integrals& last() const { return points_.back().integrals; }
  Seconds longest() const { return longest_; }

  /// Adds the means over the last `over`, or over what is known. `told` is in seconds told in a second.
  void add_means(Seconds over, Load& load) const;

 private:
  struct Point {
    Seconds uptime{0};
    Integrals integrals;
  };

  Seconds longest_;
  std::deque<Point> points_;  // by uptime
};

/// What is known of each member of the fleet, for one deployment. Threads: none of its own; one owner.
class Signals {
 public:
  /// Over how long `load` will be asked: at most `longest` exactly, and kKeptMean.
  explicit Signals(Seconds longest) : longest_(longest) {}

  /// For members that are heard of from now on.
  void set_longest(Seconds longest) { longest_ = longest; }

  /// The members that there are: others are forgotten with their rates, and nothing is heard of them.
  void set_members(const std::set<std::string>& members);

  /// False if the signal is not believed and counts for nothing: from a stranger, older than the last, not finite, going back.
  bool hear(const std::string& member, const Signal& signal, TimePoint now);

  /// The sum over members of their means over the last `over`. The last rates of a silent member stay in the sum.
  Load load(Seconds over) const;

  /// Whether each member has rates, and has been heard in the last `within`.
  bool complete(TimePoint now, Seconds within) const;

  /// The members because of which it is not complete.
  std::vector<std::string> silent(TimePoint now, Seconds within) const;

  struct Returns {
    double held = 0;  // seconds
    std::uint64_t count = 0;
  };
  /// The slots that were given back since the last call.
  Returns take_returns();

 private:
  struct Member {
    std::uint64_t incarnation = 0;
    TimePoint heard{};
    std::uint32_t waking = 0;
    Course fine;    // for means that say what is needed now
    Course coarse;  // for the mean that keeps replicas
  };

  static bool follows(const Member& member, const Signal& signal);
  static void begin(Member& member, const Signal& signal);
  void count_returns(const Member& member, const Integrals& to);

  Seconds longest_;
  std::map<std::string, Member> members_;
  Returns returns_;
};

/// The mean time that a request holds a slot, over about the last 64. Unknown before the first 16, because a few say little.
class MeanHeld {
 public:
  void add(const Signals::Returns& returns);
  /// 0 s: not known.
  Seconds value() const;

 private:
  Seconds mean_{0};
  double count_ = 0;
};

}  // namespace router::scaling
