// The scheduler of the emulation: warp after warp until all of a block wait at its barrier or are done.
#include "cuda_runtime.h"

dim3 blockIdx, blockDim, gridDim, threadIdx;

namespace emulation {

std::vector<Fiber> fibers;
int current;
float* dynamic_shared;

namespace {

ucontext_t scheduler;
const std::function<void()>* running;

void enter() {
  (*running)();
  wait_at(DONE);
}

bool any(int first, int last, Waiting kind) {
  return std::any_of(fibers.begin() + first, fibers.begin() + last, [=](const Fiber& f) { return f.waiting == kind; });
}

void release(int first, int last, Waiting kind) {
  for (int i = first; i < last; ++i)
    if (fibers[i].waiting == kind) fibers[i].waiting = RUNNING;
}

void run_warp(int first, int last) {
  while (any(first, last, RUNNING)) {
    for (int i = first; i < last; ++i) {
      if (fibers[i].waiting != RUNNING) continue;
      current = i, threadIdx = dim3(static_cast<unsigned>(i));
      swapcontext(&scheduler, &fibers[i].context);
    }
    release(first, last, AT_WARP);
  }
}

void run_block(int n_threads) {
  for (int i = 0; i < n_threads; ++i) {
    Fiber& f = fibers[i];
    f.waiting = RUNNING;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data(), f.context.uc_stack.ss_size = f.stack.size(), f.context.uc_link = nullptr;
    makecontext(&f.context, enter, 0);
  }
  while (any(0, n_threads, RUNNING)) {
    for (int first = 0; first < n_threads; first += 32) run_warp(first, std::min(first + 32, n_threads));
    release(0, n_threads, AT_BLOCK);
  }
}

}  // namespace

void wait_at(Waiting kind) {
  Fiber& f = fibers[current];
  f.waiting = kind;
  swapcontext(&f.context, &scheduler);
}

void launch(dim3 grid, unsigned n_threads, size_t shared_bytes, const std::function<void()>& kernel) {
  std::vector<float> shared(shared_bytes / sizeof(float) + 4);
  dynamic_shared = shared.data(), running = &kernel, gridDim = grid, blockDim = dim3(n_threads);
  if (fibers.size() < n_threads) fibers = std::vector<Fiber>(n_threads);
  for (unsigned y = 0; y < grid.y; ++y)
    for (unsigned x = 0; x < grid.x; ++x) blockIdx = dim3(x, y), run_block(static_cast<int>(n_threads));
}

}  // namespace emulation
