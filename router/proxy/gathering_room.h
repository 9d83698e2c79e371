#pragma once

#include <cstddef>

namespace router::proxy {

/// Limits the bytes of bodies that one shard holds for requests that are not in a queue yet: its share of the process's limit
/// (contract, section 5). One shard.
class GatheringRoom {
 public:
  static constexpr std::size_t kProcessBytes = 64 * 1024 * 1024;

  explicit GatheringRoom(std::size_t bytes) : left_(bytes) {}

  /// The bytes of one request. The destructor gives them back.
  class Share {
   public:
    explicit Share(GatheringRoom& room) : room_(room) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { room_.left_ += bytes_; }

    /// Sets the size to `bytes`, which is not less than before. Returns false and changes nothing if there is no room.
    bool grow(std::size_t bytes) {
      const std::size_t more = bytes - bytes_;
      if (more > room_.left_) return false;
      room_.left_ -= more;
      bytes_ = bytes;
      return true;
    }

   private:
    GatheringRoom& room_;
    std::size_t bytes_ = 0;
  };

 private:
  std::size_t left_;
};

}  // namespace router::proxy
