// A session: one device, one native thread with a queue of jobs, one pool of compute threads.
//
// Who runs where: everything here is called on the JavaScript thread of the environment that opened the
// session, except `run` and what it calls. Jobs run one by one in the order of the calls.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "addon/job.h"
#include "addon/napi_setup.h"
#include "backend/ops.h"
#include "base/thread_pool.h"

namespace winnow::addon {

struct ModelEntry;

// The `control` argument of a long call.
struct CallControl {
  uint64_t id = 0;
  Napi::Function on_progress;  // may be empty
};
CallControl read_control(Napi::Value value);

class Session : public std::enable_shared_from_this<Session> {
 public:
  static std::shared_ptr<Session> open(Napi::Env env, const Ops& ops, int device_index, int threads);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Queues a call. Throws ERR_SESSION_CLOSED.
  Napi::Promise submit(Napi::Env env, const CallControl& control, Work work);
  // Queues work that nobody waits for and that outlives its caller's handles.
  void submit_release(std::function<void()> work);
  // Unknown ids are ignored: the call may have ended already.
  void cancel(uint64_t id);
  // Refuses new calls, waits for those made before, frees all models. Idempotent.
  Napi::Promise close(Napi::Env env);
  bool closed() const { return closed_; }
  void require_open() const;

  void add_model(const std::shared_ptr<ModelEntry>& model);
  const Ops& ops() const { return ops_; }
  Context& context() { return context_; }

 private:
  static void deliver_callback(Napi::Env env, Napi::Function, std::weak_ptr<Session>* session, void*);
  // Weak, because a queued delivery may outlive the session.
  using Delivery = Napi::TypedThreadSafeFunction<std::weak_ptr<Session>, void, deliver_callback>;

  Session(Napi::Env env, const Ops& ops, int device_index, int threads);
  void start(Napi::Env env);
  Job* enqueue(Napi::Env env, const CallControl& control, Work work);

  // Session's thread.
  void run();
  void run_job(Job& job);
  void request_delivery();

  // JavaScript thread.
  void deliver(Napi::Env env);
  void deliver_progress(Job& job);
  void settle(Napi::Env env, Job& job);
  void finish_closing(Napi::Env env);
  static void on_environment_exit(void* session);
  void stop_thread();
  void release_delivery();

  napi_env env_;
  const Ops& ops_;
  ThreadPool pool_;
  Context context_;

  struct Queued {
    Job* job = nullptr;             // null for a release
    std::function<void()> release;  // empty for a job
  };
  std::mutex mutex_;  // guards queue_, finished_, running_, stopping_
  std::condition_variable wake_;
  std::deque<Queued> queue_;
  std::vector<Job*> finished_;
  Job* running_ = nullptr;
  bool stopping_ = false;
  std::atomic<bool> delivery_requested_{false};
  std::thread thread_;

  std::unordered_map<Job*, std::unique_ptr<Job>> jobs_;  // every call not settled yet
  std::vector<std::weak_ptr<ModelEntry>> models_;
  std::vector<Napi::Promise::Deferred> waiting_for_close_;
  Delivery delivery_;
  bool delivery_open_ = false;
  bool closed_ = false;       // no new calls
  Job* close_job_ = nullptr;  // while the session is closing
};

}  // namespace winnow::addon
