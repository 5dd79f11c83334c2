// Random input for the sanitizer driver, and the rule of every case: the same bits from 1 to 4 threads.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <functional>
#include <limits>
#include <vector>

#include "n2m_abi.h"

// splitmix64
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  bool chance(double p) { return static_cast<double>(next() >> 11) * 0x1p-53 < p; }
  float uniform(float low = 0.0f, float high = 1.0f) {
    return low + (high - low) * static_cast<float>(next() >> 40) * 0x1p-24f;
  }
  template <class T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[below(static_cast<int64_t>(values.size()))];
  }
  // Mostly ordinary, now and then a value that breaks careless code.
  float wild(float low, float high, double share) {
    if (!chance(share)) return uniform(low, high);
    const float infinity = std::numeric_limits<float>::infinity();
    return one_of({0.0f, -0.0f, 1.0f, -1.0f, -3.7f, 1e9f, -1e30f, 1e-38f, infinity, -infinity, NAN});
  }
};

// Exactly n values on the heap; `shift` of one value leaves the start aligned for a single value only.
template <class T>
struct Array {
  std::vector<T> store;
  int64_t shift = 0;
  Array() = default;
  Array(int64_t n, Random& random) : store(n + 1), shift(1) {
    if (random.chance(0.5)) store.pop_back(), shift = 0;
    store.shrink_to_fit();
  }
  T* data() { return store.data() + shift; }
  int64_t size() const { return static_cast<int64_t>(store.size()) - shift; }
  T& operator[](int64_t i) { return store[i + shift]; }
};

inline Array<float> floats(int64_t n, Random& random, float low = -1.0f, float high = 1.0f, double wild = 0.0) {
  Array<float> made(n, random);
  for (int64_t i = 0; i < n; ++i) made[i] = random.wild(low, high, wild);
  return made;
}

// One NaN is as good as another: its sign and payload depend on the order of a sum's operands.
template <class T>
T plain(T value) {
  return value != value ? std::numeric_limits<T>::quiet_NaN() : value;
}

using Bytes = std::vector<char>;
template <class... Arrays>
Bytes bytes_of(Arrays&... arrays) {
  Bytes all;
  auto add = [&](auto& a) {
    for (int64_t i = 0; i < a.size(); ++i) {
      const auto value = plain(a[i]);
      const char* begin = reinterpret_cast<const char*>(&value);
      all.insert(all.end(), begin, begin + sizeof value);
    }
  };
  (add(arrays), ...);
  return all;
}

inline void expect(bool ok, const char* what) {
  if (ok) return;
  fprintf(stderr, "driver: %s\n", what);
  exit(3);
}

// Runs the case with 1, 2, 3 and 4 threads; what it returns must be the same.
inline void same_for_any_threads(const char* name, const std::function<Bytes()>& run) {
  n2m_set_threads(1);
  const Bytes one = run();
  for (int n_threads = 2; n_threads <= 4; ++n_threads) {
    n2m_set_threads(n_threads);
    expect(run() == one, name);
  }
}

void grid_case(Random& random, bool large);
void march_case(Random& random);
void composite_case(Random& random);
void update_case(Random& random);
void probe_case(Random& random);
void raster_case(Random& random);
void simplify_case(Random& random);
void refused_calls();
