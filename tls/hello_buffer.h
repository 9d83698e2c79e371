#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace router::tls {

/// Collects the records of a ClientHello, which a client sends before the server sends anything (RFC 8446, sections 4.1.2 and
/// 5.1). OpenSSL allocates 150 KB as soon as four bytes announce a large hello, so it gets the hello only when that is
/// complete. Until then a connection costs only what its client has sent. After a HelloRetryRequest the second hello is
/// collected in the same way.
class HelloBuffer {
 public:
  static constexpr std::size_t kMessageMax = 16 * 1024;  // a ClientHello without its header: the size of OpenSSL's first buffer
  static constexpr std::size_t kBytesMax = 20 * 1024;    // held in all, with the records' headers

  enum class State {
    kPartial,  // more bytes are needed
    kWhole,    // `take` returns what is complete
    kRefused,  // `alert` and `cause` say why; final
  };

  /// May throw std::bad_alloc. Bytes behind a complete hello are kept.
  State append(std::span<const char> bytes);
  State state() const { return state_; }
  /// Whether what is complete is a hello, and not one of the records before the second.
  bool is_hello() const { return gathered_ > 0; }
  /// Called when all that was complete was taken: a second hello will come, perhaps after other records, which become complete
  /// one by one.
  void expect_another() noexcept;

  /// Moves bytes that are complete, as many as fit; 0: all were taken.
  std::size_t take(std::span<char> into) noexcept;
  /// The same for all bytes, complete or not; when no more hello will come.
  std::size_t take_rest(std::span<char> into) noexcept;

  /// Whether no byte has arrived.
  bool is_empty() const { return bytes_.empty(); }
  /// After kRefused: whether the bytes begin like a request of plain HTTP, perhaps after empty lines; whether it is one of
  /// HEAD. This needs the bytes up to the first one of the target, kHttpMax at most.
  bool is_http() const { return is_http_; }
  bool is_http_head() const { return is_head_; }
  static constexpr std::size_t kHttpMax = 64;

  std::uint8_t alert() const { return alert_; }  // its description (RFC 8446, section 6.2)
  const char* cause() const { return cause_; }   // a literal

 private:
  /// The first bytes of a message: its type and its length.
  struct Header {
    std::array<std::uint8_t, 4> bytes{};
    std::size_t size = 0;

    void add(std::string_view data);
    std::size_t message() const;  // with the header
  };

  void look() noexcept;
  /// Handles bytes that do not begin like a record: a request of plain HTTP, or anything else.
  void look_at_stranger(std::string_view bytes) noexcept;
  void look_at_hello(std::string_view fragment, std::size_t length) noexcept;
  void refuse(std::uint8_t alert, const char* cause) noexcept;

  std::string bytes_;
  std::size_t taken_ = 0;     // bytes taken from `bytes_`
  std::size_t whole_ = 0;     // end of what may be taken
  std::size_t record_ = 0;    // where the current record begins
  std::size_t gathered_ = 0;  // bytes of the hello in earlier records
  Header header_;             // likewise
  bool another_ = false;      // the second hello is expected
  bool is_http_ = false;
  bool is_head_ = false;
  State state_ = State::kPartial;
  std::uint8_t alert_ = 0;
  const char* cause_ = "";
};

}  // namespace router::tls
