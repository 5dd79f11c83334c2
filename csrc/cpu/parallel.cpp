#include "cpu/parallel.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/check.h"
#include "n2m_abi.h"

namespace n2m {
namespace {

constexpr int64_t HUGE_PAGE = 1 << 21;
constexpr int MAX_THREADS = 1024;
std::atomic<n2m_parallel_fn> torch_parallel{nullptr};
std::atomic<int> n_threads{1};

// Parked threads, used only where torch does not lend its own (torch before 2.10). Grows on demand, never shrinks, and
// is left alone in a forked child, whose copies of the threads do not run.
class Pool {
 public:
  void run(int64_t n, n2m_range_fn body, void* context) {
    std::unique_lock<std::mutex> only_one(entry_, std::try_to_lock);
    if (!only_one.owns_lock() || owner_ != getpid()) return body(0, n, context);
    std::unique_lock<std::mutex> lock(state_);
    n = std::min(n, grow(n - 1) + 1);
    body_ = body, context_ = context, n_ = n, pending_ = n - 1;
    ++generation_;
    wake_.notify_all();
    lock.unlock();
    body(0, 1, context);
    lock.lock();
    done_.wait(lock, [this] { return pending_ == 0; });
  }

 private:
  // Up to n workers, or as many as the system gives: an exception must not cross the C ABI.
  int64_t grow(int64_t n) {
    try {
      while (static_cast<int64_t>(workers_.size()) < n) {
        workers_.emplace_back([this, i = static_cast<int64_t>(workers_.size()) + 1] { work(i); });
        workers_.back().detach();
      }
    } catch (const std::system_error&) {
    }
    return static_cast<int64_t>(workers_.size());
  }

  void work(int64_t index) {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(state_);
    for (;;) {
      wake_.wait(lock, [&] { return generation_ != seen; });
      seen = generation_;
      if (index >= n_) continue;
      const n2m_range_fn body = body_;
      void* const context = context_;
      lock.unlock();
      body(index, index + 1, context);
      lock.lock();
      if (--pending_ == 0) done_.notify_one();
    }
  }

  const pid_t owner_ = getpid();
  std::mutex entry_, state_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  n2m_range_fn body_ = nullptr;
  void* context_ = nullptr;
  int64_t n_ = 0, pending_ = 0;
  uint64_t generation_ = 0;
};

Pool& pool() {
  static Pool* const made = new Pool;  // never destroyed: its threads outlive static destructors
  return *made;
}

struct Buffers {
  static constexpr int SLOTS = 6;
  void* data[SLOTS] = {};
  int64_t size[SLOTS] = {};
  ~Buffers() {
    for (void* p : data) std::free(p);
  }
};

}  // namespace

int thread_count() { return n_threads.load(std::memory_order_relaxed); }

void run_ranges(int64_t n, n2m_range_fn body, void* context) {
  const n2m_parallel_fn lent = torch_parallel.load(std::memory_order_relaxed);
  if (lent != nullptr) {
    lent(0, n, 1, body, context);
  } else {
    pool().run(n, body, context);
  }
}

void* scratch(int slot, int64_t n_bytes) {
  thread_local Buffers buffers;
#ifdef N2M_SANITIZED  // to the byte and anew for every call, so that no slack hides an access outside
  std::free(buffers.data[slot]);
  return buffers.data[slot] = std::malloc(static_cast<size_t>(n_bytes));
#endif
  if (buffers.size[slot] < n_bytes) {
    std::free(buffers.data[slot]);
    const int64_t size = (n_bytes + n_bytes / 4 + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    buffers.data[slot] = std::aligned_alloc(HUGE_PAGE, static_cast<size_t>(size));
    if (buffers.data[slot]) n2m_prefer_huge_pages(buffers.data[slot], size);
    buffers.size[slot] = buffers.data[slot] == nullptr ? 0 : size;
  }
  return buffers.data[slot];
}

}  // namespace n2m

extern "C" {
int32_t n2m_abi_version(void) { return N2M_ABI_VERSION; }
const char* n2m_last_error(void) { return n2m::error_text(); }
void n2m_set_parallel(n2m_parallel_fn parallel) { n2m::torch_parallel = parallel; }
void n2m_prefer_huge_pages(void* memory, int64_t n_bytes) {
#ifdef MADV_HUGEPAGE
  if (memory == nullptr || n_bytes <= 0 || n_bytes > n2m::MAX_COUNT) return;
  const uintptr_t size = n2m::HUGE_PAGE, begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + size - 1) / size * size, last = (begin + static_cast<uintptr_t>(n_bytes)) / size * size;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)memory, (void)n_bytes;
#endif
}
void n2m_set_threads(int32_t n_threads) { n2m::n_threads = std::min(std::max(n_threads, 1), n2m::MAX_THREADS); }
}
