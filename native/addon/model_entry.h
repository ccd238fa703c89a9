// A model as the border sees it: owned by its handle and by the calls that use it.
#pragma once

#include <atomic>
#include <memory>

#include "addon/session.h"
#include "model/model.h"

namespace winnow::addon {

struct ModelEntry {
  explicit ModelEntry(std::shared_ptr<Session> session_) : session(std::move(session_)) {}
  // JavaScript thread; the memory itself is freed on the session's thread, after the calls before.
  ~ModelEntry();
  ModelEntry(const ModelEntry&) = delete;
  ModelEntry& operator=(const ModelEntry&) = delete;

  // Session's thread.
  void release();         // frees the model
  void measure_memory();  // after anything that allocates

  // JavaScript thread: tells V8 how much memory hangs on the handle.
  void report_memory(Napi::Env env);

  const std::shared_ptr<Session> session;
  std::unique_ptr<Model> model;  // used on the session's thread only
  bool disposed = false;         // JavaScript thread

 private:
  std::atomic<int64_t> measured_bytes_{0};
  int64_t reported_bytes_ = 0;
  napi_env env_ = nullptr;
};

}  // namespace winnow::addon
