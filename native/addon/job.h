// One asynchronous call.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "addon/errors.h"
#include "base/cancel.h"

namespace winnow::addon {

// Makes the JavaScript result from native data; runs on the JavaScript thread.
using Result = std::function<Napi::Value(Napi::Env)>;
// Runs on the session's thread and must not touch JavaScript.
using Work = std::function<Result(const CancelToken&, const Progress&)>;

// Created, settled and destroyed on the JavaScript thread (it holds references into the heap); `work`
// runs on the session's thread in between.
struct Job {
  Job(Napi::Env env, uint64_t id_, Work work_)
      : id(id_), work(std::move(work_)), deferred(env), error(error_with_stack(env)) {}

  const uint64_t id;
  Work work;
  CancelToken cancel;

  // Written by the session's thread before the job is handed back.
  Result result;
  std::optional<Failure> failure;

  // Progress: the latest values, delivered at most every kProgressInterval.
  std::atomic<int64_t> done{0}, total{0};
  std::atomic<bool> progress_pending{false};
  bool wants_progress = false;

  // JavaScript thread only.
  Napi::Promise::Deferred deferred;
  Napi::Error error;  // made at call time: carries the caller's stack
  Napi::FunctionReference on_progress;
  std::optional<Napi::Error> thrown_by_progress;  // what onProgress threw; the call is rejected with it
};

}  // namespace winnow::addon
