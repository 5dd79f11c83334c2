// One way to run in parallel: torch's own thread pool where Python handed it over, else a small pool of this library, so
// that two active pools never fight over the cores.
#pragma once
#include <stdint.h>

#include <atomic>

namespace n2m {

int thread_count();
void run_ranges(int64_t n, void (*body)(int64_t begin, int64_t end, void* context), void* context);

// body(task) for 0 <= task < n_tasks. Threads claim tasks as they come free, so tasks may differ in length; results must
// not depend on who runs which.
template <class Body>
void parallel_tasks(int64_t n_tasks, const Body& body) {
  const int64_t n_workers = n_tasks < thread_count() ? n_tasks : thread_count();
  if (n_workers <= 1) {
    for (int64_t task = 0; task < n_tasks; ++task) body(task);
    return;
  }
  struct Shared {
    const Body& body;
    std::atomic<int64_t> next;
    int64_t n_tasks;
  } shared{body, {0}, n_tasks};
  run_ranges(
      n_workers,
      [](int64_t, int64_t, void* context) {
        Shared& s = *static_cast<Shared*>(context);
        for (int64_t task; (task = s.next.fetch_add(1, std::memory_order_relaxed)) < s.n_tasks;) s.body(task);
      },
      &shared);
}

// body(begin, end) over chunks of [0, n) of at least `grain`.
template <class Body>
void parallel_chunks(int64_t n, int64_t grain, const Body& body) {
  const int64_t n_chunks = (n + grain - 1) / grain;
  parallel_tasks(n_chunks, [&](int64_t i) { body(i * grain, i * grain + grain < n ? i * grain + grain : n); });
}

// Scratch memory that a thread keeps between calls: fresh pages cost more than the work done in them.
void* scratch(int slot, int64_t n_bytes);

}  // namespace n2m
