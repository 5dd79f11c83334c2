// Calls the CPU library's C ABI with random shapes under a sanitizer: driver ROUNDS SEED, or driver plant KIND.
//
// Linked with the library's own sources, without Python or torch, on the library's own thread pool. `plant` makes a mistake
// on purpose (KIND overflow, alignment or race): the sanitizer must then stop the program, or it would prove nothing.
#include <thread>

#include "support.h"

namespace {

void one_round(Random& random, int64_t round) {
  grid_case(random, round % 64 == 63);
  march_case(random), composite_case(random), update_case(random), raster_case(random), simplify_case(random);
  if (round % 16 == 0) probe_case(random);
}

// Python lets go of its lock during a call, so that two threads may be inside the library at once.
void two_callers(uint64_t seed) {
  auto call = [](uint64_t own) {
    Random random{own};
    for (int i = 0; i < 3; ++i) {
      Array<float> density = floats(640, random, 0.0f, 9.0f), out(640, random), per_ray[4];
      std::vector<int32_t> packed;
      for (int r = 0; r < 320; ++r) packed.push_back(2 * r), packed.push_back(2);
      for (auto& a : per_ray) a = floats(320, random);
      n2m_composite_forward(320, 0, 0.0f, density.data(), nullptr, density.data(), density.data(), packed.data(), nullptr,
                            per_ray[0].data(), per_ray[1].data(), per_ray[2].data(), out.data());
    }
  };
  n2m_set_threads(3);
  std::thread other(call, seed + 1);
  call(seed);
  other.join();
}

int plant(const char* kind) {
  Random random{1};
  const n2m_level level{3.0f, 4, 64, 0, 0};
  const n2m_grid grid{&level, 3, 1, 2, 1, 0, 0};
  Array<float> points = floats(60, random, 0.0f, 1.0f), params = floats(128, random);
  if (strcmp(kind, "overflow") == 0) {
    std::vector<float> out(39);  // one too few
    n2m_grid_forward(&grid, 20, points.data(), params.data(), out.data());
  } else if (strcmp(kind, "alignment") == 0) {
    std::vector<char> memory(33);
    std::vector<uint8_t> bits(1);
    n2m_update_occupancy(8, reinterpret_cast<float*>(memory.data() + 1), bits.data(), 0, nullptr, nullptr, 0.5f, 0.5f, 0);
  } else if (strcmp(kind, "race") == 0) {
    n2m_set_threads(4);
    std::vector<int32_t> packed;
    const int n_rays = 1 << 16;  // long enough for every thread to get some
    for (int r = 0; r < n_rays; ++r) packed.push_back(0), packed.push_back(50);  // all of them write the same samples
    std::vector<float> values(50, 0.5f), weights(50), per_ray[3];
    for (auto& a : per_ray) a.resize(n_rays);
    n2m_composite_forward(n_rays, 0, 0.0f, values.data(), nullptr, values.data(), values.data(), packed.data(), nullptr,
                          per_ray[0].data(), per_ray[1].data(), per_ray[2].data(), weights.data());
  }
  return 0;
}

}  // namespace

int main(int n_arguments, char** arguments) {
  if (n_arguments != 3) return fprintf(stderr, "usage: driver ROUNDS SEED | driver plant KIND\n"), 2;
  if (strcmp(arguments[1], "plant") == 0) return plant(arguments[2]);
  const int64_t rounds = atoll(arguments[1]);
  const uint64_t seed = strtoull(arguments[2], nullptr, 10);
  refused_calls();
  int64_t done = 0;
  for (const char* isa : {"scalar", "avx2", "avx512"}) {
    if (n2m_set_isa(isa) != N2M_OK) continue;
    for (int64_t round = 0; round < rounds; ++round, ++done) {
      Random random{seed * 1000003 + static_cast<uint64_t>(round)};
      one_round(random, round);
    }
    two_callers(seed);
    printf("%s: %lld rounds\n", isa, static_cast<long long>(rounds));
  }
  return done > 0 ? 0 : 2;
}
