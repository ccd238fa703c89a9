#include "io/json_header.h"

#include <cstdio>
#include <set>

#include "base/error.h"

namespace winnow {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `text`, or 0 (Unicode 15, table 3-7).
size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto between = [&](size_t i, unsigned char low, unsigned char high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return between(1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned char low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
    return between(1, low, high) && between(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned char low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
    return between(1, low, high) && between(2, 0x80, 0xBF) && between(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

size_t first_bad_utf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = utf8_sequence(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

void append_utf8(std::string& text, uint32_t point) {
  const auto put = [&](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | point >> 6), put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12), put(0x80 | (point >> 6 & 0x3F)), put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | point >> 18), put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F)), put(0x80 | (point & 0x3F));
  }
}

class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Header parse() {
    const size_t bad = first_bad_utf8(text_);
    if (bad != std::string_view::npos) fail_at(bad, "UTF-8");
    // The format wants the brace first; padding may follow, not lead.
    if (text_.empty() || text_[0] != '{') fail("'{' as the first byte");
    Header header;
    std::set<std::string> names;
    each_member([&](const std::string& name) {
      if (!names.insert(name).second) fail("names that occur once", "\"" + name + "\" twice");
      if (name == "__metadata__")
        parse_metadata(header.metadata);
      else
        header.entries.push_back(parse_entry(name));
    });
    skip_space();
    if (at_ != text_.size()) fail("nothing after the last '}'");
    return header;
  }

 private:
  [[noreturn]] void fail_at(size_t at, const std::string& expected, std::string received = {}) const {
    throw Error("ERR_FILE_FORMAT", "bad safetensors header in " + file_ + " at byte " + std::to_string(at),
                expected, std::move(received), "the file is damaged or not a safetensors file");
  }
  [[noreturn]] void fail(const std::string& expected, std::string received = {}) const {
    if (received.empty()) {
      const bool printable = at_ < text_.size() && text_[at_] > ' ' && text_[at_] < 0x7F;
      if (at_ >= text_.size())
        received = "the end of the header";
      else if (printable)
        received = std::string("'") + text_[at_] + "'";
      else
        received = "byte " + std::to_string(static_cast<unsigned char>(text_[at_]));
    }
    fail_at(at_, expected, std::move(received));
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  bool accept(char symbol) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != symbol) return false;
    ++at_;
    return true;
  }
  void require(char symbol) {
    if (!accept(symbol)) fail(std::string("'") + symbol + "'");
  }

  template <typename Member>
  void each_member(Member member) {
    require('{');
    if (accept('}')) return;
    do {
      const std::string name = parse_text();
      require(':');
      member(name);
    } while (accept(','));
    require('}');
  }

  uint32_t parse_hex4() {
    uint32_t value = 0;
    for (int digit = 0; digit < 4; ++digit, ++at_) {
      const char symbol = at_ < text_.size() ? text_[at_] : '\0';
      if (symbol >= '0' && symbol <= '9')
        value = value * 16 + static_cast<uint32_t>(symbol - '0');
      else if ((symbol | 0x20) >= 'a' && (symbol | 0x20) <= 'f')
        value = value * 16 + static_cast<uint32_t>((symbol | 0x20) - 'a') + 10;
      else
        fail("four hexadecimal digits");
    }
    return value;
  }

  uint32_t parse_code_point() {
    const uint32_t high = parse_hex4();
    if (high < 0xD800 || high > 0xDFFF) return high;
    const bool paired = high < 0xDC00 && text_.substr(at_, 2) == "\\u";
    if (!paired) fail("a surrogate pair");
    at_ += 2;
    const uint32_t low = parse_hex4();
    if (low < 0xDC00 || low > 0xDFFF) fail("a surrogate pair");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  }

  void parse_escape(std::string& result) {
    const char symbol = at_ < text_.size() ? text_[at_++] : '\0';
    switch (symbol) {
      case '"':
      case '\\':
      case '/':
        result.push_back(symbol);
        break;
      case 'b':
        result.push_back('\b');
        break;
      case 'f':
        result.push_back('\f');
        break;
      case 'n':
        result.push_back('\n');
        break;
      case 'r':
        result.push_back('\r');
        break;
      case 't':
        result.push_back('\t');
        break;
      case 'u':
        append_utf8(result, parse_code_point());
        break;
      default:
        fail("an escape of JSON");
    }
  }

  std::string parse_text() {
    require('"');
    std::string result;
    for (;;) {
      if (at_ >= text_.size()) fail("'\"'");
      const char symbol = text_[at_++];
      if (symbol == '"') return result;
      if (symbol == '\\')
        parse_escape(result);
      else if (static_cast<unsigned char>(symbol) < 0x20)
        fail_at(at_ - 1, "no control character inside a string");
      else
        result.push_back(symbol);
    }
  }

  uint64_t parse_integer() {
    skip_space();
    const size_t first = at_;
    uint64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const uint64_t digit = static_cast<uint64_t>(text_[at_] - '0');
      if (value > (UINT64_MAX - digit) / 10) fail_at(first, "an integer below 2^64", "a larger one");
      value = value * 10 + digit;
    }
    if (at_ == first) fail("an integer that is not negative");
    if (text_[first] == '0' && at_ - first > 1) fail_at(first, "an integer without leading zeros");
    return value;
  }

  std::vector<uint64_t> parse_integers() {
    std::vector<uint64_t> values;
    require('[');
    if (accept(']')) return values;
    do values.push_back(parse_integer());
    while (accept(','));
    require(']');
    return values;
  }

  // Some writers put null where they have no metadata.
  void parse_metadata(std::map<std::string, std::string>& metadata) {
    skip_space();
    if (text_.substr(at_, 4) == "null") {
      at_ += 4;
      return;
    }
    each_member([&](const std::string& key) {
      skip_space();
      if (!metadata.emplace(key, parse_text()).second)
        fail("keys that occur once", "\"" + key + "\" twice in __metadata__");
    });
  }

  HeaderEntry parse_entry(const std::string& name) {
    HeaderEntry entry;
    entry.name = name;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    const auto once = [&](bool& seen, const std::string& key) {
      if (seen) fail("keys that occur once", "\"" + key + "\" twice for " + name);
      seen = true;
    };
    each_member([&](const std::string& key) {
      if (key == "dtype") {
        once(has_dtype, key);
        entry.dtype = parse_text();
      } else if (key == "shape") {
        once(has_shape, key);
        entry.shape = parse_integers();
      } else if (key == "data_offsets") {
        once(has_offsets, key);
        const std::vector<uint64_t> offsets = parse_integers();
        if (offsets.size() != 2) fail("two data_offsets", std::to_string(offsets.size()) + " for " + name);
        entry.begin = offsets[0];
        entry.end = offsets[1];
      } else {
        fail("dtype, shape or data_offsets", "\"" + key + "\" in " + name);
      }
    });
    if (!has_dtype || !has_shape || !has_offsets) fail("dtype, shape and data_offsets", "fewer for " + name);
    return entry;
  }

  std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
};

}  // namespace

Header parse_header(std::string_view text, const std::string& file) {
  return HeaderParser(text, file).parse();
}

bool is_utf8(std::string_view text) { return first_bad_utf8(text) == std::string_view::npos; }

std::string quote_json(std::string_view text) {
  if (!is_utf8(text)) throw Error("ERR_ARGUMENT", "a name or metadata text is not UTF-8");
  std::string result = "\"";
  for (const char symbol : text) {
    if (symbol == '"' || symbol == '\\') {
      result += '\\';
      result += symbol;
    } else if (static_cast<unsigned char>(symbol) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(symbol));
      result += escape;
    } else {
      result += symbol;
    }
  }
  return result + '"';
}

}  // namespace winnow
