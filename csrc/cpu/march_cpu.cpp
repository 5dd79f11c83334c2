// Marching on the CPU: one pass that counts and remembers the hit lattice points as bits, one that writes the samples.
#include <string.h>

#include "core/check.h"
#include "core/march.h"
#include "cpu/parallel.h"

using namespace n2m;

namespace {

constexpr int64_t RAYS_PER_TASK = 64;

struct Ray {
  float o[3], d[3], jitter;
  Ray(const float* origins, const float* directions, const float* jitters, int64_t r) {
    memcpy(o, origins + 3 * r, sizeof o);
    memcpy(d, directions + 3 * r, sizeof d);
    jitter = jitters ? jitters[r] : 0.5f;
  }
};

// A byte per block of 8^3 cells: the OR of its 64 bytes (z runs fastest, 8 cells are one byte).
const uint8_t* summarize(const n2m_march& m, const uint8_t* bits) {
  if (m.resolution % 8 != 0) return nullptr;
  const int64_t n = m.resolution / 8, n_columns = n * m.n_cascades;
  uint8_t* blocks = static_cast<uint8_t*>(scratch(2, n_columns * n * n));
  if (!blocks) return nullptr;
  memset(blocks, 0, n_columns * n * n);
  for (int64_t x = 0; x < n_columns * 8; ++x)
    for (int64_t y = 0; y < n * 8; ++y) {
      const uint8_t* row = bits + (x * n * 8 + y) * n;
      uint8_t* out = blocks + ((x / 8) * n + y / 8) * n;
      for (int64_t z = 0; z < n; ++z) out[z] |= row[z];
    }
  return blocks;
}

bool check_inputs(const n2m_march* m, int64_t n_rays, const float* origins, const float* directions, const uint8_t* bits,
                  const uint64_t* masks, int64_t mask_words, const int32_t* packed_info) {
  const bool any = n_rays > 0;
  return check_march(m, n_rays) && (masks == nullptr || check_count("mask_words", mask_words, 1, MAX_LATTICE / 64)) &&
         check_pointers({{"origins", origins, any}, {"directions", directions, any}, {"bits", bits, any}, {"packed_info", packed_info, any}});
}

// The rays' places must not overlap: each is written by one thread.
bool check_places(int64_t n_rays, const int32_t* packed_info, int64_t* end) {
  *end = 0;
  if (!check_packing(n_rays, packed_info)) return false;
  for (int64_t r = 0; r < n_rays; ++r) {
    if (packed_info[2 * r + 1] == 0) continue;
    if (packed_info[2 * r] < *end)
      return refuse("packed_info: expected starts in the order of the rays, got %d of ray %lld", packed_info[2 * r], static_cast<long long>(r));
    *end = int64_t{packed_info[2 * r]} + packed_info[2 * r + 1];
  }
  return true;
}

}  // namespace

extern "C" {

int32_t n2m_march_count(const n2m_march* m, int64_t n_rays, const float* origins, const float* directions,
                        const uint8_t* bits, const float* jitter, uint64_t* masks, int64_t mask_words,
                        int32_t* packed_info, int64_t* n_samples) {
  if (!check_inputs(m, n_rays, origins, directions, bits, masks, mask_words, packed_info)) return N2M_INVALID;
  if (!check_pointer("n_samples", n_samples)) return N2M_INVALID;
  *n_samples = 0;
  if (n_rays == 0) return N2M_OK;
  const uint8_t* blocks = summarize(*m, bits);
  parallel_chunks(n_rays, RAYS_PER_TASK, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const Ray ray(origins, directions, jitter, r);
      uint64_t* mask = masks ? masks + r * mask_words : nullptr;
      if (mask) memset(mask, 0, mask_words * sizeof(uint64_t));
      int32_t count = 0;
      march_ray(*m, bits, blocks, ray.o, ray.d, ray.jitter, [&](int32_t k) {
        if (mask && k >> 6 < mask_words) mask[k >> 6] |= uint64_t{1} << (k & 63);
        ++count;
        return true;
      });
      packed_info[2 * r + 1] = count;
    }
  });
  int64_t total = 0;
  for (int64_t r = 0; r < n_rays; ++r) {
    packed_info[2 * r] = static_cast<int32_t>(total < INT32_MAX ? total : INT32_MAX);
    total += packed_info[2 * r + 1];
  }
  *n_samples = total;
  return N2M_OK;
}

int32_t n2m_march_fill(const n2m_march* m, int64_t n_rays, const float* origins, const float* directions,
                       const uint8_t* bits, const float* jitter, const uint64_t* masks, int64_t mask_words,
                       const int32_t* packed_info, float* t, float* dt, int32_t* ray_index) {
  int64_t n_places;
  if (!check_inputs(m, n_rays, origins, directions, bits, masks, mask_words, packed_info)) return N2M_INVALID;
  if (!check_places(n_rays, packed_info, &n_places)) return N2M_INVALID;
  const bool any = n_places > 0;
  if (!check_pointer("t", t, any) || !check_pointer("dt", dt, any) || !check_pointer("ray_index", ray_index, any)) return N2M_INVALID;
  if (!any) return N2M_OK;
  const uint8_t* blocks = masks ? nullptr : summarize(*m, bits);
  parallel_chunks(n_rays, RAYS_PER_TASK, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int32_t count = packed_info[2 * r + 1];
      float t_enter, t_exit;
      const Ray ray(origins, directions, jitter, r);
      if (count == 0 || !clip_ray(*m, ray.o, ray.d, t_enter, t_exit)) continue;
      int64_t at = packed_info[2 * r];
      const int64_t last = at + count;
      auto write = [&](int32_t k) {
        t[at] = lattice_t(*m, t_enter, k, ray.jitter);
        dt[at] = m->step;
        ray_index[at] = static_cast<int32_t>(r);
        return ++at < last;
      };
      if (!masks) {
        march_ray(*m, bits, blocks, ray.o, ray.d, ray.jitter, write);
        continue;
      }
      const uint64_t* mask = masks + r * mask_words;
      for (int64_t word = 0; word < mask_words && at < last; ++word)
        for (uint64_t left = mask[word]; left && at < last; left &= left - 1) write(static_cast<int32_t>(word * 64 + __builtin_ctzll(left)));
      // A direction shorter than 1 has more lattice points than the mask has bits.
      if (at < last)
        march_ray(*m, bits, nullptr, ray.o, ray.d, ray.jitter, [&](int32_t k) { return k >> 6 < mask_words || write(k); });
    }
  });
  return N2M_OK;
}

}  // extern "C"
