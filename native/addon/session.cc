#include "addon/session.h"

#include <chrono>
#include <utility>

#include "addon/arguments.h"
#include "addon/model_entry.h"

namespace winnow::addon {
namespace {

constexpr std::chrono::milliseconds kProgressInterval{50};

}  // namespace

CallControl read_control(Napi::Value value) {
  const Fields control(value, "control");
  CallControl result;
  result.id = static_cast<uint64_t>(control.integer("id", 0, (1ll << 53) - 1));
  const Napi::Value on_progress = control.object().Get("onProgress");
  if (on_progress.IsFunction())
    result.on_progress = on_progress.As<Napi::Function>();
  else if (!on_progress.IsUndefined())
    fail_argument(control.path("onProgress"), "a function", describe_value(on_progress));
  return result;
}

Session::Session(Napi::Env env, const Ops& ops, int device_index, int threads)
    : env_(env), ops_(ops), pool_(threads), context_{pool_, device_index} {}

std::shared_ptr<Session> Session::open(Napi::Env env, const Ops& ops, int device_index, int threads) {
  std::shared_ptr<Session> session(new Session(env, ops, device_index, threads));
  session->start(env);
  return session;
}

void Session::start(Napi::Env env) {
  delivery_ = Delivery::New(env, "winnow session", 0, 1, new std::weak_ptr<Session>(shared_from_this()),
                            [](Napi::Env, void*, std::weak_ptr<Session>* session) { delete session; });
  delivery_open_ = true;
  delivery_.Unref(env);  // an idle session does not keep the process alive
  // Registered after the delivery function, so that it runs before Node tears that down.
  napi_add_env_cleanup_hook(env, on_environment_exit, this);
  thread_ = std::thread([this] { run(); });
}

Session::~Session() {
  if (delivery_open_) napi_remove_env_cleanup_hook(env_, on_environment_exit, this);
  stop_thread();
  release_delivery();
}

void Session::require_open() const {
  if (closed_)
    throw Error("ERR_SESSION_CLOSED", "the session is closed", "an open session", "", "open a new one");
}

Napi::Promise Session::submit(Napi::Env env, const CallControl& control, Work work) {
  require_open();
  return enqueue(env, control, std::move(work))->deferred.Promise();
}

Job* Session::enqueue(Napi::Env env, const CallControl& control, Work work) {
  auto owned = std::make_unique<Job>(env, control.id, std::move(work));
  Job* job = owned.get();
  if (!control.on_progress.IsEmpty()) {
    job->on_progress = Napi::Persistent(control.on_progress);
    job->wants_progress = true;
  }
  if (jobs_.empty()) delivery_.Ref(env);
  jobs_.emplace(job, std::move(owned));
  {
    std::lock_guard lock(mutex_);
    queue_.push_back({job, {}});
  }
  wake_.notify_one();
  return job;
}

void Session::submit_release(std::function<void()> work) {
  if (!thread_.joinable()) {
    work();
    return;
  }
  {
    std::lock_guard lock(mutex_);
    queue_.push_back({nullptr, std::move(work)});
  }
  wake_.notify_one();
}

void Session::cancel(uint64_t id) {
  for (const auto& [job, owned] : jobs_)
    if (job->id == id && job != close_job_) job->cancel.cancel();
}

Napi::Promise Session::close(Napi::Env env) {
  if (close_job_ != nullptr || closed_) {
    Napi::Promise::Deferred deferred(env);
    if (close_job_ == nullptr)
      deferred.Resolve(env.Undefined());
    else
      waiting_for_close_.push_back(deferred);
    return deferred.Promise();
  }
  closed_ = true;
  // Strong references, taken and dropped here: an entry must not die on the session's thread.
  std::vector<std::shared_ptr<ModelEntry>> entries;
  for (const auto& weak : models_)
    if (auto entry = weak.lock()) entries.push_back(std::move(entry));
  close_job_ =
      enqueue(env, {}, [entries, self = shared_from_this()](const CancelToken&, const Progress&) -> Result {
        for (const auto& entry : entries) entry->release();
        return [entries](Napi::Env env) {
          for (const auto& entry : entries) entry->report_memory(env);
          return env.Undefined();
        };
      });
  return close_job_->deferred.Promise();
}

void Session::add_model(const std::shared_ptr<ModelEntry>& model) {
  std::erase_if(models_, [](const auto& weak) { return weak.expired(); });
  models_.push_back(model);
}

// ---- the session's thread --------------------------------------------------------------------------

void Session::run() {
  for (;;) {
    Queued next;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      next = std::move(queue_.front());
      queue_.pop_front();
      running_ = next.job;
    }
    if (next.job == nullptr) {
      next.release();
      continue;
    }
    run_job(*next.job);
    {
      std::lock_guard lock(mutex_);
      running_ = nullptr;
      finished_.push_back(next.job);
    }
    request_delivery();
  }
}

void Session::run_job(Job& job) {
  auto last_report = std::chrono::steady_clock::now();
  const Progress progress = [&](int64_t done, int64_t total) {
    if (!job.wants_progress) return;
    job.done.store(done, std::memory_order_relaxed);
    job.total.store(total, std::memory_order_relaxed);
    job.progress_pending.store(true, std::memory_order_release);
    const auto now = std::chrono::steady_clock::now();
    if (now - last_report < kProgressInterval) return;
    last_report = now;
    request_delivery();
  };
  try {
    job.cancel.throw_if_cancelled();
    job.result = job.work(job.cancel, progress);
  } catch (...) {
    job.failure = current_failure();
  }
}

void Session::request_delivery() {
  if (!delivery_requested_.exchange(true)) delivery_.NonBlockingCall();
}

// ---- the JavaScript thread ---------------------------------------------------------------------------

void Session::deliver_callback(Napi::Env env, Napi::Function, std::weak_ptr<Session>* weak, void*) {
  if (napi_env(env) == nullptr) return;  // the environment is going away
  if (const std::shared_ptr<Session> session = weak->lock()) session->deliver(env);
}

void Session::deliver(Napi::Env env) {
  delivery_requested_.store(false);
  std::vector<Job*> finished;
  Job* running;
  {
    std::lock_guard lock(mutex_);
    finished.swap(finished_);
    running = running_;
  }
  if (running != nullptr) deliver_progress(*running);
  for (Job* job : finished) {
    deliver_progress(*job);
    if (job == close_job_) finish_closing(env);
    settle(env, *job);
  }
  if (jobs_.empty() && delivery_open_) delivery_.Unref(env);
}

void Session::deliver_progress(Job& job) {
  if (!job.progress_pending.exchange(false, std::memory_order_acquire) || job.thrown_by_progress) return;
  const Napi::Env env = job.on_progress.Env();
  try {
    job.on_progress.Call({Napi::Number::New(env, static_cast<double>(job.done.load())),
                          Napi::Number::New(env, static_cast<double>(job.total.load()))});
  } catch (const Napi::Error& error) {
    // The caller's own failure: it ends the call and becomes its rejection.
    job.thrown_by_progress = error;
    job.cancel.cancel();
  }
}

void Session::settle(Napi::Env env, Job& job) {
  const std::unique_ptr<Job> owned = std::move(jobs_.extract(&job).mapped());
  if (job.thrown_by_progress) {
    job.deferred.Reject(job.thrown_by_progress->Value());
    return;
  }
  if (!job.failure) {
    try {
      job.deferred.Resolve(job.result(env));
      return;
    } catch (const Napi::Error& error) {
      job.deferred.Reject(error.Value());
      return;
    } catch (...) {
      job.failure = current_failure();
    }
  }
  job.deferred.Reject(fill_error(job.error, *job.failure));
}

void Session::finish_closing(Napi::Env env) {
  close_job_ = nullptr;
  napi_remove_env_cleanup_hook(env, on_environment_exit, this);
  stop_thread();
  release_delivery();
  for (const Napi::Promise::Deferred& deferred : waiting_for_close_) deferred.Resolve(env.Undefined());
  waiting_for_close_.clear();
}

void Session::on_environment_exit(void* pointer) {
  const std::shared_ptr<Session> session = static_cast<Session*>(pointer)->shared_from_this();
  session->closed_ = true;
  for (const auto& [job, owned] : session->jobs_) job->cancel.cancel();
  session->stop_thread();
  session->release_delivery();
  session->jobs_.clear();
}

void Session::stop_thread() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Session::release_delivery() {
  if (!std::exchange(delivery_open_, false)) return;
  delivery_.Abort();  // nothing queued is delivered any more; the thread that called it is gone
}

}  // namespace winnow::addon
