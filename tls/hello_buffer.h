#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace router::tls {

/// What a client sends before a server has anything to say: the records of its ClientHello (RFC 8446, sections 4.1.2 and 5.1).
/// OpenSSL takes 150 KB as soon as four bytes announce a large hello, so it gets none of it before all of it is here; until
/// then a connection costs what its client has sent. After a HelloRetryRequest the second hello is gathered in the same way.
class HelloBuffer {
 public:
  static constexpr std::size_t kMessageMax = 16 * 1024;  // a ClientHello without its header: what OpenSSL's first buffer holds
  static constexpr std::size_t kBytesMax = 20 * 1024;    // held, with the records' headers

  enum class State {
    kPartial,  // more is needed
    kWhole,    // `take` gives it
    kRefused,  // `alert` and `cause` say why; final
  };

  /// May throw std::bad_alloc. What comes behind a whole hello is kept.
  State append(std::span<const char> bytes);
  State state() const { return state_; }
  /// Of what is whole: a hello, not one of the records in front of the second.
  bool is_hello() const { return gathered_ > 0; }
  /// After what was whole was taken: a second hello is to come, perhaps behind other records, which become whole one by one.
  void expect_another() noexcept;

  /// Moves what is whole, or a part of it; 0: all of it was taken.
  std::size_t take(std::span<char> into) noexcept;
  /// The same of everything, whole or not; once no hello is to come any more.
  std::size_t take_rest(std::span<char> into) noexcept;

  /// Not a byte has come.
  bool is_empty() const { return bytes_.empty(); }
  /// Of what is refused: it begins as a request of plain HTTP does, perhaps behind empty lines; one of HEAD. At most kHttpMax
  /// bytes are waited for to tell that: up to the first one of the target.
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
  /// What does not begin as a record does: a request of plain HTTP, or anything else.
  void look_at_stranger(std::string_view bytes) noexcept;
  void look_at_hello(std::string_view fragment, std::size_t length) noexcept;
  void refuse(std::uint8_t alert, const char* cause) noexcept;

  std::string bytes_;
  std::size_t taken_ = 0;     // of `bytes_`
  std::size_t whole_ = 0;     // end of what may be taken
  std::size_t record_ = 0;    // where the record begins that is looked at
  std::size_t gathered_ = 0;  // of the hello, in the records before
  Header header_;             // likewise
  bool another_ = false;      // the second hello
  bool is_http_ = false;
  bool is_head_ = false;
  State state_ = State::kPartial;
  std::uint8_t alert_ = 0;
  const char* cause_ = "";
};

}  // namespace router::tls
