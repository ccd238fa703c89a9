#include "addon/arguments.h"

#include <cmath>
#include <cstring>

#include "base/error.h"

namespace winnow::addon {
namespace {

constexpr double kLargestInteger = 9007199254740992.0;  // 2^53

const char* typed_array_name(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
      return "Int8Array";
    case napi_uint8_array:
      return "Uint8Array";
    case napi_uint8_clamped_array:
      return "Uint8ClampedArray";
    case napi_int16_array:
      return "Int16Array";
    case napi_uint16_array:
      return "Uint16Array";
    case napi_int32_array:
      return "Int32Array";
    case napi_uint32_array:
      return "Uint32Array";
    case napi_float32_array:
      return "Float32Array";
    case napi_float64_array:
      return "Float64Array";
    default:
      return "another typed array";
  }
}

std::string format_number(double value) {
  std::string text(32, '\0');
  text.resize(static_cast<size_t>(std::snprintf(text.data(), text.size(), "%.15g", value)));
  return text;
}

}  // namespace

void fail_argument(const std::string& path, const std::string& expected, const std::string& received) {
  throw Error("ERR_ARGUMENT", path + " does not fit", expected, received);
}

std::string describe_value(Napi::Value value) {
  if (value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsNumber()) return format_number(value.As<Napi::Number>().DoubleValue());
  if (value.IsString()) return "a string";
  if (value.IsBoolean()) return value.As<Napi::Boolean>() ? "true" : "false";
  if (value.IsFunction()) return "a function";
  if (value.IsTypedArray()) return typed_array_name(value.As<Napi::TypedArray>().TypedArrayType());
  if (value.IsArray()) return "an array";
  if (value.IsObject()) return "an object";
  return "something else";
}

Fields::Fields(Napi::Value value, std::string path) : path_(std::move(path)) {
  if (!value.IsObject() || value.IsFunction()) fail_argument(path_, "an object", describe_value(value));
  object_ = value.As<Napi::Object>();
}

bool Fields::has(const char* name) const { return !object_.Get(name).IsUndefined(); }

int64_t Fields::integer(const char* name, int64_t minimum, int64_t maximum) const {
  const Napi::Value value = object_.Get(name);
  const std::string expected =
      "an integer from " + std::to_string(minimum) + " to " + std::to_string(maximum);
  if (!value.IsNumber()) fail_argument(path(name), expected, describe_value(value));
  const double number = value.As<Napi::Number>().DoubleValue();
  const bool fits = number == std::floor(number) && std::fabs(number) < kLargestInteger &&
                    static_cast<int64_t>(number) >= minimum && static_cast<int64_t>(number) <= maximum;
  if (!fits) fail_argument(path(name), expected, describe_value(value));
  return static_cast<int64_t>(number);
}

double Fields::number(const char* name, double minimum, double maximum) const {
  const Napi::Value value = object_.Get(name);
  const std::string expected = "a number from " + format_number(minimum) + " to " + format_number(maximum);
  if (!value.IsNumber()) fail_argument(path(name), expected, describe_value(value));
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= minimum && number <= maximum)) fail_argument(path(name), expected, describe_value(value));
  return number;
}

bool Fields::boolean(const char* name) const {
  const Napi::Value value = object_.Get(name);
  if (!value.IsBoolean()) fail_argument(path(name), "true or false", describe_value(value));
  return value.As<Napi::Boolean>();
}

std::string Fields::text(const char* name) const {
  const Napi::Value value = object_.Get(name);
  if (!value.IsString()) fail_argument(path(name), "a string", describe_value(value));
  return value.As<Napi::String>();
}

std::vector<std::string> Fields::texts(const char* name) const {
  const Napi::Value value = object_.Get(name);
  if (!value.IsArray()) fail_argument(path(name), "an array of strings", describe_value(value));
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<std::string> result;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    if (!item.IsString())
      fail_argument(path(name) + "[" + std::to_string(i) + "]", "a string", describe_value(item));
    result.push_back(item.As<Napi::String>());
  }
  return result;
}

int Fields::choice(const char* name, const std::vector<std::string>& choices) const {
  const Napi::Value value = object_.Get(name);
  std::string expected;
  for (const std::string& choice : choices) expected += (expected.empty() ? "" : " or ") + choice;
  if (!value.IsString()) fail_argument(path(name), expected, describe_value(value));
  const std::string text = value.As<Napi::String>();
  for (size_t i = 0; i < choices.size(); ++i)
    if (choices[i] == text) return static_cast<int>(i);
  fail_argument(path(name), expected, "\"" + text + "\"");
}

template <typename T>
std::vector<T> Fields::typed_array(const char* name, napi_typedarray_type type, const char* expected) const {
  const Napi::Value value = object_.Get(name);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    fail_argument(path(name), expected, describe_value(value));
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  const size_t length = array.ElementLength();
  std::vector<T> result(length);
  if (length > 0) std::memcpy(result.data(), array.Data(), length * sizeof(T));
  return result;
}

std::vector<int32_t> Fields::int32_array(const char* name) const {
  return typed_array<int32_t>(name, napi_int32_array, "an Int32Array");
}
std::vector<float> Fields::float32_array(const char* name) const {
  return typed_array<float>(name, napi_float32_array, "a Float32Array");
}
std::vector<double> Fields::float64_array(const char* name) const {
  return typed_array<double>(name, napi_float64_array, "a Float64Array");
}
std::vector<uint8_t> Fields::uint8_array(const char* name) const {
  return typed_array<uint8_t>(name, napi_uint8_array, "a Uint8Array");
}

std::vector<uint64_t> Fields::counts(const char* name) const {
  const std::vector<double> values = float64_array(name);
  std::vector<uint64_t> result;
  result.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    if (!(value >= 0 && value < kLargestInteger && value == std::floor(value)))
      fail_argument(path(name) + "[" + std::to_string(i) + "]", "an integer from 0 to 2^53 - 1",
                    format_number(value));
    result.push_back(static_cast<uint64_t>(value));
  }
  return result;
}

FlatSequences read_sequences(const Fields& request) {
  FlatSequences sequences;
  sequences.tokens = request.int32_array("tokens");
  const std::vector<uint64_t> offsets = request.counts("offsets");
  const uint64_t length = sequences.tokens.size();
  const std::string name = request.path("offsets");
  if (offsets.empty() || offsets.front() != 0)
    fail_argument(name, "offsets that start at 0",
                  offsets.empty() ? "none" : std::to_string(offsets.front()));
  for (size_t s = 1; s < offsets.size(); ++s)
    if (offsets[s] < offsets[s - 1] || offsets[s] > length)
      fail_argument(name + "[" + std::to_string(s) + "]",
                    "from " + std::to_string(offsets[s - 1]) + " to " + std::to_string(length),
                    std::to_string(offsets[s]));
  if (offsets.back() != length)
    fail_argument(name, "a last offset of " + std::to_string(length), std::to_string(offsets.back()));
  sequences.offsets.assign(offsets.begin(), offsets.end());
  return sequences;
}

Napi::Float32Array to_float32_array(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array array = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(float));
  return array;
}

}  // namespace winnow::addon
