// Readers of plain JavaScript objects. Everything is checked and copied on the JavaScript thread;
// failures are ERR_ARGUMENT with the path of the field.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "addon/napi_setup.h"

namespace winnow::addon {

// Throws ERR_ARGUMENT: `path` is not what was expected.
[[noreturn]] void fail_argument(const std::string& path, const std::string& expected,
                                const std::string& received);

// What a value is, for an error message: "string", "Float64Array", "undefined", "3.5", ...
std::string describe_value(Napi::Value value);

// The fields of one object argument, e.g. Fields(info[1], "score"): failures then name "score.temperature".
class Fields {
 public:
  Fields(Napi::Value value, std::string path);

  Napi::Object object() const { return object_; }
  bool has(const char* name) const;  // present and not undefined
  std::string path(const char* name) const { return path_ + "." + name; }

  int64_t integer(const char* name, int64_t minimum, int64_t maximum) const;
  double number(const char* name, double minimum, double maximum) const;  // finite
  bool boolean(const char* name) const;
  std::string text(const char* name) const;
  std::vector<std::string> texts(const char* name) const;
  // The index of the text among `choices`.
  int choice(const char* name, const std::vector<std::string>& choices) const;
  Fields nested(const char* name) const { return Fields(object_.Get(name), path(name)); }

  std::vector<int32_t> int32_array(const char* name) const;
  std::vector<float> float32_array(const char* name) const;
  std::vector<double> float64_array(const char* name) const;
  std::vector<uint8_t> uint8_array(const char* name) const;
  // A Float64Array of integers in [0, 2^53).
  std::vector<uint64_t> counts(const char* name) const;

 private:
  template <typename T>
  std::vector<T> typed_array(const char* name, napi_typedarray_type type, const char* expected) const;

  Napi::Object object_;
  std::string path_;
};

// Sequences as one flat array: s is tokens[offsets[s], offsets[s + 1]).
struct FlatSequences {
  std::vector<int32_t> tokens;
  std::vector<int64_t> offsets;
  int64_t count() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

// Offsets start at 0, never fall and end at the number of tokens.
FlatSequences read_sequences(const Fields& request);

// Copies into a new typed array.
Napi::Float32Array to_float32_array(Napi::Env env, const std::vector<float>& values);

}  // namespace winnow::addon
