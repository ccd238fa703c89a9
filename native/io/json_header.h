// The grammar of a safetensors header: the small part of JSON that the format allows, read strictly.
//
//   { "<name>": { "dtype": "<text>", "shape": [<integers>], "data_offsets": [<integer>, <integer>] }, ...,
//     "__metadata__": { "<key>": "<text>", ... } }
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace winnow {

struct HeaderEntry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t begin = 0, end = 0;  // byte range after the header
};

struct Header {
  std::vector<HeaderEntry> entries;  // in the order of the file
  std::map<std::string, std::string> metadata;
};

// Throws ERR_FILE_FORMAT naming `file` and the byte of the header: bad UTF-8 or JSON, a key that the
// format does not have, one that is missing or comes twice, a name twice, an integer above 2^64 - 1.
// Nesting is bounded by the grammar, so hostile depth is an error like any other.
Header parse_header(std::string_view text, const std::string& file);

// `text` as a JSON string, quotes included. Throws ERR_ARGUMENT when it is not UTF-8.
std::string quote_json(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace winnow
