// One decode step: what models/transformer.py computes for one new token. sampling.h chooses the next token, as
// inference/sampling.py does. tests/inference/test_decode_step.py compares both with the Python code. A pointer is null if
// the model has no such tensor.
//
// Performance. Small models are limited by overhead, so nothing is called, allocated or started between tokens. Large models
// are limited by reading weights, so matrices are stored in the order in which they are read: panels of 32 rows, column by
// column. A panel is one sequential read, its 32 sums stay in registers, and no horizontal sum is needed. All threads run the
// same code on their own panels and heads, with barriers between dependent operations. The number of threads does not change
// the result: each sum is computed by one thread in a fixed order.
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

typedef struct {
  // Matrices in panels. `qkv` stacks queries, keys and values; with a gate, a panel of `up` has 16 rows of the gate and the
  // 16 rows that it multiplies.
  const void *qkv, *out, *up, *down;
  const float *qkv_bias, *out_bias, *up_bias, *down_bias;
  const float *norm1, *norm1_bias, *query_norm, *key_norm, *sinks, *norm2, *norm2_bias;
  float *keys, *values;   // the cache: rotated keys (K, D, slots) and values (slots, K, D), contiguous along the inner loops
  int64_t *held;          // the position in each slot
  int capacity, n_sink;   // slots; the first `n_sink` hold the first tokens of the text
} Layer;

typedef struct {
  int width, n_layer, n_head, n_kv_head, head_dim, hidden, n_tokens, vocab_size, rope_dims, mlp, layer_norm, half, n_threads;
  float eps, qk_eps, softcap;
  const float *embed;                 // (V, C), row-major
  const void *head;                   // in panels
  const float *norm, *norm_bias;
  const float *slopes;                // ALiBi: one a head, or null
  const float *added, *cosine, *sine; // one row per position from `start`: position embeddings, RoPE angles
  int64_t start, position;
  Layer *layers;
  float *x, *qkv, *z, *gated, *up, *scores, *logits;  // buffers, padded to whole panels
} Session;

enum { GELU, GELU_EXACT, RELU2, SWIGLU, GEGLU, CLAMPED_SWIGLU };  // gated from SWIGLU on

// ---- threads --------------------------------------------------------------------------------------------------------------

typedef struct {
  atomic_int arrived, round;
} Barrier;

typedef struct {
  int id, n;
  Barrier *barrier;
} Team;

// Barrier. Threads spin, because all arrive within a microsecond, and yield if another process holds a core.
static void wait_for_all(const Team *team) {
  if (team->n == 1) return;
  Barrier *m = team->barrier;
  const int round = atomic_load(&m->round);
  if (atomic_fetch_add(&m->arrived, 1) == team->n - 1) {
    atomic_store(&m->arrived, 0);
    atomic_store(&m->round, round + 1);
  } else
    for (int spins = 0; atomic_load(&m->round) == round; spins++)
      if (spins > 1000) sched_yield();
}

// Of n items, this thread processes those from share(team, n, 0) up to share(team, n, 1).
static int share(const Team *team, int n, int end) { return (int)((int64_t)n * (team->id + end) / team->n); }

static Team join_team(Barrier *barrier) {
#ifdef _OPENMP
  return (Team){omp_get_thread_num(), omp_get_num_threads(), barrier};
#else
  return (Team){0, 1, barrier};
#endif
}

// ---- products -------------------------------------------------------------------------------------------------------------

enum { LANES = 16, PANEL = 2 * LANES };
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));

static int panels(int rows) { return (rows + PANEL - 1) / PANEL; }

// The dot products of one panel. A column has 16 + 16 float32 numbers, or 16 words of two bfloat16 numbers each (a bfloat16 is
// the upper half of a float32). Two columns at a time, for four independent accumulators.
#define PANEL_SUMS(NAME, TYPE, COLUMN, FIRST, SECOND)                                                              \
  static inline void NAME(float *restrict sums, const TYPE *restrict w, const float *restrict x, int columns) { \
    Floats a = {0}, b = {0}, c = {0}, d = {0};                                                               \
    int i = 0;                                                                                               \
    for (; i + 1 < columns; i += 2, w += 2 * COLUMN) {                                                       \
      a += FIRST(w) * x[i], b += SECOND(w) * x[i];                                                            \
      c += FIRST((w + COLUMN)) * x[i + 1], d += SECOND((w + COLUMN)) * x[i + 1];                              \
    }                                                                                                        \
    if (i < columns) a += FIRST(w) * x[i], b += SECOND(w) * x[i];                                             \
    a += c, b += d;                                                                                          \
    memcpy(sums, &a, sizeof a), memcpy(sums + LANES, &b, sizeof b);                                          \
  }
#define FLOAT_FIRST(w) w[0]
#define FLOAT_SECOND(w) w[1]
#define HALF_FIRST(w) (Floats)(w[0] << 16)
#define HALF_SECOND(w) (Floats)(w[0] & 0xffff0000u)
PANEL_SUMS(panel_sums_fp32, Floats, 2, FLOAT_FIRST, FLOAT_SECOND)
PANEL_SUMS(panel_sums_bf16, Words, 1, HALF_FIRST, HALF_SECOND)

// out = weight x (+ bias) (+ out itself), for the rows of some panels.
static void multiply(const Session *s, float *restrict out, const void *weight, const float *restrict bias,
                     const float *restrict x, int columns, int from, int to, int add) {
  for (int panel = from; panel < to; panel++) {
    const size_t at = (size_t)panel * columns;
    float sums[PANEL], *rows = out + panel * PANEL;
    if (s->half)
      panel_sums_bf16(sums, (const Words *)weight + at, x, columns);
    else
      panel_sums_fp32(sums, (const Floats *)weight + 2 * at, x, columns);
    for (int k = 0; bias && k < PANEL; k++) sums[k] += bias[panel * PANEL + k];
    for (int k = 0; k < PANEL; k++) rows[k] = add ? rows[k] + sums[k] : sums[k];
  }
}

// The same for all rows, split between the threads.
static void product(const Session *s, const Team *team, float *out, const void *weight, const float *bias, const float *x,
                    int rows, int columns, int add) {
  multiply(s, out, weight, bias, x, columns, share(team, panels(rows), 0), share(team, panels(rows), 1), add);
}

// ---- one layer ------------------------------------------------------------------------------------------------------------

static void normalize(float *out, const float *x, const float *weight, const float *bias, int n, float eps, int centred) {
  float mean = 0, square = 0;
  if (centred) {
    for (int i = 0; i < n; i++) mean += x[i];
    mean /= n;
  }
  for (int i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / sqrtf(square / n + eps);
  for (int i = 0; i < n; i++) out[i] = (x[i] - mean) * scale * (weight ? weight[i] : 1.0f) + (bias ? bias[i] : 0.0f);
}

static void rotate(float *x, const float *cosine, const float *sine, int half) {
  for (int i = 0; i < half; i++) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cosine[i] - b * sine[i];
    x[i + half] = b * cosine[i] + a * sine[i];
  }
}

static float gelu(float x) { return 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x))); }

static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

static float clamped(float x) { return x < -7.0f ? -7.0f : x > 7.0f ? 7.0f : x; }

static void activate(float *restrict out, const float *restrict gate, const float *restrict up, int n, int kind) {
  switch (kind) {
    case GELU:
      for (int i = 0; i < n; i++) out[i] = gelu(up[i]);
      break;
    case GELU_EXACT:
      for (int i = 0; i < n; i++) out[i] = 0.5f * up[i] * (1.0f + erff(0.7071067811865476f * up[i]));
      break;
    case RELU2:
      for (int i = 0; i < n; i++) out[i] = up[i] > 0 ? up[i] * up[i] : 0;
      break;
    case SWIGLU:
      for (int i = 0; i < n; i++) out[i] = up[i] * gate[i] * sigmoid(gate[i]);
      break;
    case GEGLU:
      for (int i = 0; i < n; i++) out[i] = up[i] * gelu(gate[i]);
      break;
    case CLAMPED_SWIGLU:
      for (int i = 0; i < n; i++) {
        const float g = gate[i] > 7.0f ? 7.0f : gate[i];
        out[i] = (clamped(up[i]) + 1.0f) * g * sigmoid(1.702f * g);
      }
  }
}

// Attention of one head over the n tokens in its layer's cache.
static void attend(const Session *s, const Layer *layer, int head, int n, int64_t at, const float *restrict q,
                   float *restrict scores, float *restrict z) {
  const int size = s->head_dim, from = head / (s->n_head / s->n_kv_head) * size;
  const size_t stride = s->n_kv_head * size;
  const float scale = 1.0f / sqrtf((float)size), *values = layer->values + from;
  float most = layer->sinks ? layer->sinks[head] : -1e30f, total = 0;
  for (int t = 0; t < n; t++) scores[t] = s->slopes ? -s->slopes[head] * (float)(at - layer->held[t]) : 0.0f;
  for (int i = 0; i < size; i++) {
    const float *keys = layer->keys + (size_t)(from + i) * layer->capacity, part = q[i] * scale;
    for (int t = 0; t < n; t++) scores[t] += part * keys[t];
  }
  for (int t = 0; t < n; t++) most = scores[t] > most ? scores[t] : most;
  for (int t = 0; t < n; t++) total += scores[t] = expf(scores[t] - most);
  if (layer->sinks) total += expf(layer->sinks[head] - most);
  memset(z, 0, size * sizeof(float));
  int t = 0;
  for (; t + 4 <= n; t += 4) {  // four at a time, so that z is loaded and stored once for four tokens
    const float a = scores[t], b = scores[t + 1], c = scores[t + 2], d = scores[t + 3], *v = values + t * stride;
    for (int i = 0; i < size; i++) z[i] += a * v[i] + b * v[stride + i] + c * v[2 * stride + i] + d * v[3 * stride + i];
  }
  for (; t < n; t++)
    for (int i = 0; i < size; i++) z[i] += scores[t] * values[t * stride + i];
  for (int i = 0; i < size; i++) z[i] /= total;
}

// x (C) += attention, by all threads. The new token replaces the oldest one in the rolling cache.
static void attention_block(const Session *s, const Layer *layer, const Team *team, int64_t at, const float *cosine,
                      const float *sine) {
  const int width = s->width, size = s->head_dim, q_width = s->n_head * size, kv_width = s->n_kv_head * size;
  const int n_sink = layer->n_sink;
  const int slot = at < n_sink ? at : n_sink + (at - n_sink) % (layer->capacity - n_sink);
  const int n = at + 1 < layer->capacity ? at + 1 : layer->capacity;
  const float *v = s->qkv + q_width + kv_width;
  float h[width];
  normalize(h, s->x, layer->norm1, layer->norm1_bias, width, s->eps, s->layer_norm);
  product(s, team, s->qkv, layer->qkv, layer->qkv_bias, h, q_width + 2 * kv_width, width, 0);
  wait_for_all(team);
  for (int head = share(team, s->n_head + s->n_kv_head, 0); head < share(team, s->n_head + s->n_kv_head, 1); head++) {
    const int is_query = head < s->n_head, from = (head - s->n_head) * size;
    float *part = s->qkv + head * size;  // keys follow queries
    if (layer->query_norm) normalize(part, part, is_query ? layer->query_norm : layer->key_norm, 0, size, s->qk_eps, 0);
    if (cosine) rotate(part, cosine, sine, s->rope_dims / 2);
    if (is_query) continue;
    for (int i = 0; i < size; i++) layer->keys[(size_t)(from + i) * layer->capacity + slot] = part[i];
    memcpy(layer->values + (size_t)slot * kv_width + from, v + from, size * sizeof(float));
    if (!from) layer->held[slot] = at;
  }
  wait_for_all(team);
  for (int head = share(team, s->n_head, 0); head < share(team, s->n_head, 1); head++)
    attend(s, layer, head, n, at, s->qkv + head * size, s->scores + (size_t)head * layer->capacity, s->z + head * size);
  wait_for_all(team);
  product(s, team, s->x, layer->out, layer->out_bias, s->z, width, q_width, 1);
  wait_for_all(team);
}

// x (C) += MLP, by all threads. Each applies the activation to its own rows.
static void mlp_block(const Session *s, const Layer *layer, const Team *team) {
  const int gated = s->mlp >= SWIGLU, each = gated ? LANES : PANEL, n = (s->hidden + each - 1) / each;
  const int from = share(team, n, 0), to = share(team, n, 1);
  float h[s->width];
  normalize(h, s->x, layer->norm2, layer->norm2_bias, s->width, s->eps, s->layer_norm);
  multiply(s, s->gated, layer->up, layer->up_bias, h, s->width, from, to, 0);
  for (int panel = from; panel < to; panel++) {
    const float *rows = s->gated + panel * PANEL;
    activate(s->up + panel * each, rows, gated ? rows + LANES : rows, each, s->mlp);
  }
  wait_for_all(team);
  product(s, team, s->x, layer->down, layer->down_bias, s->up, s->width, s->hidden, 1);
  wait_for_all(team);
}

// The logits after one more token; each thread computes those of its own panels.
static void feed(const Session *s, const Team *team, int token, int64_t at) {
  const int width = s->width, half = s->rope_dims / 2, size = s->vocab_size;
  const int64_t ahead = at - s->start;
  const float *row = s->embed + (size_t)token * width, *added = s->added ? s->added + ahead * width : 0;
  const float *cosine = s->cosine ? s->cosine + ahead * half : 0, *sine = s->sine ? s->sine + ahead * half : 0;
  for (int i = 0; team->id == 0 && i < width; i++) s->x[i] = row[i] + (added ? added[i] : 0.0f);
  wait_for_all(team);
  for (int l = 0; l < s->n_layer; l++) {
    attention_block(s, s->layers + l, team, at, cosine, sine);
    mlp_block(s, s->layers + l, team);
  }
  float h[width];
  normalize(h, s->x, s->norm, s->norm_bias, width, s->eps, s->layer_norm);
  product(s, team, s->logits, s->head, 0, h, size, width, 0);
  for (int i = PANEL * share(team, panels(size), 0); s->softcap > 0 && i < PANEL * share(team, panels(size), 1); i++)
    s->logits[i] = s->softcap * tanhf(s->logits[i] / s->softcap);
}

void decode_feed(Session *s, int token) {
  Barrier barrier = {0};
#pragma omp parallel num_threads(s->n_threads) if (s->n_threads > 1)
  {
    const Team team = join_team(&barrier);
    feed(s, &team, token, s->position);
  }
  s->position++;
}

#include "sampling.h"

// Generate n tokens after `token`. `seen` (V) is updated. `workspace` has 2 V numbers and 4 per panel, `ids` has V. For each
// token `out` gets the 1 + n_alternatives candidates of `choose_token`.
void decode_write(Session *s, const Sampling *c, int token, int n, const double *uniforms, uint8_t *seen, double *workspace, int *ids,
                  Candidate *out) {
  const int size = s->n_tokens, each = panels(size);
  double *of_panels = workspace + 2 * (size_t)size;
  const Workspace r = {seen, workspace, workspace + size, of_panels, of_panels + each, of_panels + 2 * each, of_panels + 3 * each, ids};
  Barrier barrier = {0};
#pragma omp parallel num_threads(s->n_threads) if (s->n_threads > 1)
  {
    const Team team = join_team(&barrier);
    for (int t = 0; t < n; t++) {
      double most, top;
      feed(s, &team, token, s->position + t);
      softmax_shards(s, c, &team, &r, &most, &top);
      if (team.id == 0) {
        token = choose_token(s, c, uniforms[t], &r, most, top, out + (size_t)t * (1 + c->n_alternatives));
        seen[token] = 1;
      }
      wait_for_all(&team);
    }
  }
  s->position += n;
}
