// Writing one text: what models/transformer.py computes for one new token, and inference/sampling.py to choose the next,
// without an interpreter between the operations. The formulas are theirs; tests/inference/test_decode_step.py holds this file
// to them. A pointer is null where a model has no such tensor.
//
// How it is fast. Small models wait for the next instruction: so there is no call, no allocation and no thread started between
// tokens. Large models wait for their weights: so those lie in the order in which they are read, in panels of 32 rows, column
// after column. A panel is one stream through memory, its 32 sums stay in registers, and no sum has to be gathered from lanes.
// All threads walk through the same code, each does its share of the panels and heads, and they meet where one needs what
// another has made. Who does what changes no number: each sum belongs to one thread and has one order.
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

typedef struct {  // of one layer
  const void *qkv, *out, *up, *down;  // matrices, in panels: queries, keys and values below each other; a panel of `up` is of
  const float *qkv_bias, *out_bias, *up_bias, *down_bias;  // 16 rows of the gate and 16 of what it gates, if there is a gate
  const float *norm1, *norm1_bias, *query_norm, *key_norm, *sinks, *norm2, *norm2_bias;
  float *keys, *values;   // the cache: (K, D, slots), turned already, and (slots, K, D); sums then run along what lies together
  int64_t *held;          // the position in each slot
  int capacity, n_sink;   // slots, the first of which are for the first tokens of the text
} Layer;

typedef struct {
  int width, n_layer, n_head, n_kv_head, head_dim, hidden, n_tokens, vocab_size, rope_dims, mlp, layer_norm, half, n_threads;
  float eps, qk_eps, softcap;
  const float *embed;                 // (V, C), rows first
  const void *head;                   // in panels
  const float *norm, *norm_bias;
  const float *slopes;                // ALiBi: one a head, or null
  const float *added, *cosine, *sine; // a row for each position from `start` on: what is added to embeddings, how RoPE turns
  int64_t start, position;
  Layer *layers;
  float *x, *qkv, *z, *gated, *up, *scores, *logits;  // room, for whole panels
} Session;

enum { GELU, GELU_EXACT, RELU2, SWIGLU, GEGLU, CLAMPED_SWIGLU };  // from SWIGLU on they have a gate

// ---- threads --------------------------------------------------------------------------------------------------------------

typedef struct {
  atomic_int arrived, round;
} Meeting;

typedef struct {
  int id, n;
  Meeting *meeting;
} Team;

// Nobody goes on before all are here. They look rather than sleep, since all are here within a microsecond; when something
// else holds a core, they let it work.
static void meet(const Team *team) {
  if (team->n == 1) return;
  Meeting *m = team->meeting;
  const int round = atomic_load(&m->round);
  if (atomic_fetch_add(&m->arrived, 1) == team->n - 1) {
    atomic_store(&m->arrived, 0);
    atomic_store(&m->round, round + 1);
  } else
    for (int looks = 0; atomic_load(&m->round) == round; looks++)
      if (looks > 1000) sched_yield();
}

// Of n things, this thread does those from share(team, n, 0) to share(team, n, 1).
static int share(const Team *team, int n, int end) { return (int)((int64_t)n * (team->id + end) / team->n); }

static Team joined(Meeting *meeting) {
#ifdef _OPENMP
  return (Team){omp_get_thread_num(), omp_get_num_threads(), meeting};
#else
  return (Team){0, 1, meeting};
#endif
}

// ---- products -------------------------------------------------------------------------------------------------------------

enum { LANES = 16, PANEL = 2 * LANES };
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));

static int panels(int rows) { return (rows + PANEL - 1) / PANEL; }

// The sums of one panel. For each column it has 16 + 16 numbers as float32; or 16 words, each of which holds two as bfloat16: a
// float32 is its upper half. Two columns at a time: a processor adds four sums at once.
#define TIMES(NAME, TYPE, COLUMN, FIRST, SECOND)                                                              \
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
TIMES(times_floats, Floats, 2, FLOAT_FIRST, FLOAT_SECOND)
TIMES(times_halves, Words, 1, HALF_FIRST, HALF_SECOND)

// out = weight x (+ bias) (+ out itself), for the rows of some panels.
static void multiply(const Session *s, float *restrict out, const void *weight, const float *restrict bias,
                     const float *restrict x, int columns, int from, int to, int add) {
  for (int panel = from; panel < to; panel++) {
    const size_t at = (size_t)panel * columns;
    float sums[PANEL], *rows = out + panel * PANEL;
    if (s->half)
      times_halves(sums, (const Words *)weight + at, x, columns);
    else
      times_floats(sums, (const Floats *)weight + 2 * at, x, columns);
    for (int k = 0; bias && k < PANEL; k++) sums[k] += bias[panel * PANEL + k];
    for (int k = 0; k < PANEL; k++) rows[k] = add ? rows[k] + sums[k] : sums[k];
  }
}

// The same for all rows, by all threads together.
static void product(const Session *s, const Team *team, float *out, const void *weight, const float *bias, const float *x,
                    int rows, int columns, int add) {
  multiply(s, out, weight, bias, x, columns, share(team, panels(rows), 0), share(team, panels(rows), 1), add);
}

// ---- one layer ------------------------------------------------------------------------------------------------------------

static void normalise(float *out, const float *x, const float *weight, const float *bias, int n, float eps, int centred) {
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

static void bend(float *restrict out, const float *restrict gate, const float *restrict up, int n, int kind) {
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

// One head looks at everything its layer holds.
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
  for (; t + 4 <= n; t += 4) {  // four at a time: each number of z is fetched and put back for four of them
    const float a = scores[t], b = scores[t + 1], c = scores[t + 2], d = scores[t + 3], *v = values + t * stride;
    for (int i = 0; i < size; i++) z[i] += a * v[i] + b * v[stride + i] + c * v[2 * stride + i] + d * v[3 * stride + i];
  }
  for (; t < n; t++)
    for (int i = 0; i < size; i++) z[i] += scores[t] * values[t * stride + i];
  for (int i = 0; i < size; i++) z[i] /= total;
}

// x (C) += attention, by all threads together; at most one token a slot is held.
static void attention_block(const Session *s, const Layer *layer, const Team *team, int64_t at, const float *cosine,
                      const float *sine) {
  const int width = s->width, size = s->head_dim, q_width = s->n_head * size, kv_width = s->n_kv_head * size;
  const int n_sink = layer->n_sink;
  const int slot = at < n_sink ? at : n_sink + (at - n_sink) % (layer->capacity - n_sink);
  const int n = at + 1 < layer->capacity ? at + 1 : layer->capacity;
  const float *v = s->qkv + q_width + kv_width;
  float h[width];
  normalise(h, s->x, layer->norm1, layer->norm1_bias, width, s->eps, s->layer_norm);
  product(s, team, s->qkv, layer->qkv, layer->qkv_bias, h, q_width + 2 * kv_width, width, 0);
  meet(team);
  for (int head = share(team, s->n_head + s->n_kv_head, 0); head < share(team, s->n_head + s->n_kv_head, 1); head++) {
    const int asks = head < s->n_head, from = (head - s->n_head) * size;
    float *part = s->qkv + head * size;  // keys lie behind queries
    if (layer->query_norm) normalise(part, part, asks ? layer->query_norm : layer->key_norm, 0, size, s->qk_eps, 0);
    if (cosine) rotate(part, cosine, sine, s->rope_dims / 2);
    if (asks) continue;
    for (int i = 0; i < size; i++) layer->keys[(size_t)(from + i) * layer->capacity + slot] = part[i];
    memcpy(layer->values + (size_t)slot * kv_width + from, v + from, size * sizeof(float));
    if (!from) layer->held[slot] = at;
  }
  meet(team);
  for (int head = share(team, s->n_head, 0); head < share(team, s->n_head, 1); head++)
    attend(s, layer, head, n, at, s->qkv + head * size, s->scores + (size_t)head * layer->capacity, s->z + head * size);
  meet(team);
  product(s, team, s->x, layer->out, layer->out_bias, s->z, width, q_width, 1);
  meet(team);
}

// x (C) += MLP, by all threads together. Each bends the rows that it has multiplied.
static void mlp_block(const Session *s, const Layer *layer, const Team *team) {
  const int gated = s->mlp >= SWIGLU, each = gated ? LANES : PANEL, n = (s->hidden + each - 1) / each;
  const int from = share(team, n, 0), to = share(team, n, 1);
  float h[s->width];
  normalise(h, s->x, layer->norm2, layer->norm2_bias, s->width, s->eps, s->layer_norm);
  multiply(s, s->gated, layer->up, layer->up_bias, h, s->width, from, to, 0);
  for (int panel = from; panel < to; panel++) {
    const float *rows = s->gated + panel * PANEL;
    bend(s->up + panel * each, rows, gated ? rows + LANES : rows, each, s->mlp);
  }
  meet(team);
  product(s, team, s->x, layer->down, layer->down_bias, s->up, s->width, s->hidden, 1);
  meet(team);
}

// The logits after one more token, of which each thread has made those of its own panels.
static void feed(const Session *s, const Team *team, int token, int64_t at) {
  const int width = s->width, half = s->rope_dims / 2, size = s->vocab_size;
  const int64_t ahead = at - s->start;
  const float *row = s->embed + (size_t)token * width, *added = s->added ? s->added + ahead * width : 0;
  const float *cosine = s->cosine ? s->cosine + ahead * half : 0, *sine = s->sine ? s->sine + ahead * half : 0;
  for (int i = 0; team->id == 0 && i < width; i++) s->x[i] = row[i] + (added ? added[i] : 0.0f);
  meet(team);
  for (int l = 0; l < s->n_layer; l++) {
    attention_block(s, s->layers + l, team, at, cosine, sine);
    mlp_block(s, s->layers + l, team);
  }
  float h[width];
  normalise(h, s->x, s->norm, s->norm_bias, width, s->eps, s->layer_norm);
  product(s, team, s->logits, s->head, 0, h, size, width, 0);
  for (int i = PANEL * share(team, panels(size), 0); s->softcap > 0 && i < PANEL * share(team, panels(size), 1); i++)
    s->logits[i] = s->softcap * tanhf(s->logits[i] / s->softcap);
}

void decode_feed(Session *s, int token) {
  Meeting meeting = {0};
#pragma omp parallel num_threads(s->n_threads) if (s->n_threads > 1)
  {
    const Team team = joined(&meeting);
    feed(s, &team, token, s->position);
  }
  s->position++;
}

// ---- the next token -------------------------------------------------------------------------------------------------------

typedef struct {
  double temperature, top_p, min_p, penalty;
  int top_k, n_alternatives;
} Choice;

typedef struct {        // room to choose in
  const uint8_t *seen;  // marks the ids of the text so far, for the penalty
  double *scores, *weights;                  // (V): logits after the penalty, what is drawn from
  double *peaks, *tops, *own, *sums;         // of each panel: the largest logit and score; the sums of exp(logits), of weights
  int *ids;             // (V), to be ranked
} Room;

// What a token is chosen from, before anything is filtered: the ids below `n_tokens`. Each thread weighs its own panels.
static void softmax_shards(const Session *s, const Choice *c, const Team *team, const Room *r, double *most, double *top) {
  const int size = s->n_tokens, n = panels(size), all = panels(s->vocab_size);
  const int from = share(team, all, 0), to = share(team, all, 1) < n ? share(team, all, 1) : n;  // as in `feed`
  const int heated = c->temperature != 0 && (c->temperature != 1 || c->penalty != 1);
  const double scale = fmin(1e300, 1 / (c->temperature != 0 ? c->temperature : 1));
  for (int panel = from; panel < to; panel++) {
    const int begin = panel * PANEL, end = begin + PANEL < size ? begin + PANEL : size;
    float peak = s->logits[begin];
    for (int i = begin; i < end; i++) {
      peak = s->logits[i] > peak ? s->logits[i] : peak;
      r->scores[i] = s->logits[i];
    }
    double best = r->peaks[panel] = peak;
    if (c->penalty != 1) {
      for (int i = begin; i < end; i++)
        if (r->seen[i]) r->scores[i] = r->scores[i] < 0 ? r->scores[i] * c->penalty : r->scores[i] / c->penalty;
      best = r->scores[begin];
      for (int i = begin; i < end; i++) best = r->scores[i] > best ? r->scores[i] : best;
    }
    r->tops[panel] = best;
  }
  meet(team);
  *most = r->peaks[0], *top = r->tops[0];
  for (int panel = 0; panel < n; panel++) {
    *most = r->peaks[panel] > *most ? r->peaks[panel] : *most;
    *top = r->tops[panel] > *top ? r->tops[panel] : *top;
  }
  for (int panel = from; panel < to; panel++) {
    const int begin = panel * PANEL, end = begin + PANEL < size ? begin + PANEL : size;
    double own = 0, sum = 0;
#pragma omp simd reduction(+ : own)
    for (int i = begin; i < end; i++) own += r->weights[i] = exp(s->logits[i] - *most);
#pragma omp simd reduction(+ : sum)
    for (int i = begin; i < (heated ? end : begin); i++) sum += r->weights[i] = exp((r->scores[i] - *top) * scale);
    r->own[panel] = own, r->sums[panel] = heated ? sum : own;
  }
  meet(team);
}

static double sum_of(const double *x, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += x[i];
  return sum;
}

// Ranks ids: higher scores first, lower ids first among equals.
static inline int before(const double *scores, int a, int b) {
  return (scores[a] > scores[b]) | ((scores[a] == scores[b]) & (a < b));
}

// Brings to the front the ids that rank first, in any order: as few as weigh `goal` together (each one, if `weights` is null),
// but one at least. Returns how many. Only the part in which the border lies is looked at again (Hoare's selection), so this
// takes a time like n, where ranking everything takes many times that.
static int select_top_p(int *ids, int n, const double *scores, const double *weights, double goal) {
  int from = 0, to = n;  // those before `from` belong to them, those from `to` on do not
  double reached = 0;
  while (to - from > 1) {
    const int middle = from + (to - from) / 2, pivot = ids[middle];
    int end = from;  // ids[from] to ids[end - 1] rank before the pivot, which waits at the end
    double sum = 0;
    ids[middle] = ids[to - 1], ids[to - 1] = pivot;
    for (int i = from; i < to - 1; i++) {  // without a branch, which a processor would guess wrongly every other time
      const int id = ids[i], first = before(scores, id, pivot);
      sum += first * (weights ? weights[id] : 1);
      ids[i] = ids[end], ids[end] = id, end += first;
    }
    ids[to - 1] = ids[end], ids[end] = pivot;
    const double with = reached + sum + (weights ? weights[pivot] : 1);
    if (reached + sum >= goal)
      to = end;
    else if (with >= goal)
      return end + 1;
    else
      from = end + 1, reached = with;
  }
  return to || !n ? to : 1;
}

// Leaves in `weights`, whose sum is `total`, only what top-k and top-p keep. `ids` has room for `size` numbers.
static void ranked(double *weights, const double *scores, int *ids, int size, int k, double top_p, double total) {
  const double least = k < size ? 0 : (1 - top_p) / size * total * (1 - 1e-9);  // all smaller ones together are beyond top-p
  int n = 0;
  for (int i = 0; i < size; i++) ids[n] = i, n += weights[i] >= least;
  if (k < size) {  // top-p counts what top-k has left
    n = select_top_p(ids, n, scores, 0, k), total = 0;
    for (int i = 0; i < n; i++) total += weights[ids[i]];
  }
  if (top_p < 1) n = select_top_p(ids, n, scores, weights, top_p * total);
  for (int i = 0; i < n; i++) weights[ids[i]] *= -1;
  for (int i = 0; i < size; i++) weights[i] = weights[i] < 0 ? -weights[i] : 0;
}

// The id at which the running sum of `weights` passes `uniform` times their sum; `otherwise` where no weight is above 0.
// `sums` are those of the panels.
static int drawn(const double *weights, const double *sums, int size, double uniform, int otherwise) {
  const int n = panels(size);
  const double target = uniform * sum_of(sums, n);
  double reached = 0;
  int found = otherwise;
  for (int panel = 0; panel < n; reached += sums[panel++]) {
    if (sums[panel] <= 0 || (reached + sums[panel] <= target && panel + 1 < n)) continue;
    double inside = reached;
    for (int i = panel * PANEL; i < (panel + 1) * PANEL && i < size; i++) {
      if (weights[i] <= 0) continue;
      found = i;  // the last one, should rounding leave the sum just short
      if ((inside += weights[i]) > target) return i;
    }
  }
  return found;
}

typedef struct {  // a token, drawn or likely, as the model itself, before any filter, sees it
  int id;
  double probability;
} Drawn;

// The n likeliest, the first ones among equals: insertion into a short list, with panels that have none passed over.
static int list(const Session *s, const Room *r, Drawn *out, int n) {
  int listed = 0;
  for (int panel = 0; n && panel < panels(s->n_tokens); panel++) {
    if (listed == n && r->peaks[panel] <= s->logits[out[n - 1].id]) continue;
    for (int i = panel * PANEL; i < (panel + 1) * PANEL && i < s->n_tokens; i++) {
      if (listed == n && s->logits[i] <= s->logits[out[n - 1].id]) continue;
      int at = listed < n ? listed++ : n - 1;
      for (; at > 0 && s->logits[out[at - 1].id] < s->logits[i]; at--) out[at] = out[at - 1];
      out[at].id = i;
    }
  }
  return listed;
}

// Choose as inference/sampling.py does, from what has been weighed. `out` gets the token, then the likeliest ones.
static int choose(const Session *s, const Choice *c, double uniform, const Room *r, double most, double top, Drawn *out) {
  const int size = s->n_tokens, n = panels(size), listed = list(s, r, out + 1, c->n_alternatives);
  double own = sum_of(r->own, n);  // of the whole vocabulary: ids that pad it are never drawn, but have a probability
  for (int i = size; i < s->vocab_size; i++) own += exp(fmin(s->logits[i] - most, 700));
  for (int i = 1; i <= listed; i++) out[i].probability = exp(s->logits[out[i].id] - most) / own;
  int panel = 0;
  while (panel + 1 < n && r->tops[panel] < top) panel++;
  int token = panel * PANEL;
  while (token + 1 < size && r->scores[token] < top) token++;  // the likeliest, after the penalty
  const int k = c->temperature == 0 ? 1 : c->top_k && c->top_k < size ? c->top_k : size;
  if (k > 1) {
    const double least = c->min_p * r->weights[token];
    const int ranks = k < size || c->top_p < 1;
    if (ranks) ranked(r->weights, r->scores, r->ids, size, k, c->top_p, sum_of(r->sums, n));
    for (int i = 0; least > 0 && i < size; i++) r->weights[i] = r->weights[i] >= least ? r->weights[i] : 0;
    for (panel = 0; (ranks || least > 0) && panel < n; panel++)
      r->sums[panel] = sum_of(r->weights + panel * PANEL, panel + 1 < n ? PANEL : size - panel * PANEL);
    token = drawn(r->weights, r->sums, size, uniform, token);
  }
  out->id = token;
  out->probability = exp(s->logits[token] - most) / own;
  return token;
}

// Write n tokens after `token`: feed one, choose the next, feed that. `seen` is kept up to date. `room` has place for 2 V + 4
// numbers a panel, `ids` for V. For each token `out` gets what `choose` says.
void decode_write(Session *s, const Choice *c, int token, int n, const double *uniforms, uint8_t *seen, double *room, int *ids,
                  Drawn *out) {
  const int size = s->n_tokens, each = panels(size);
  double *of_panels = room + 2 * (size_t)size;
  const Room r = {seen, room, room + size, of_panels, of_panels + each, of_panels + 2 * each, of_panels + 3 * each, ids};
  Meeting meeting = {0};
#pragma omp parallel num_threads(s->n_threads) if (s->n_threads > 1)
  {
    const Team team = joined(&meeting);
    for (int t = 0; t < n; t++) {
      double most, top;
      feed(s, &team, token, s->position + t);
      softmax_shards(s, c, &team, &r, &most, &top);
      if (team.id == 0) {
        token = choose(s, c, uniforms[t], &r, most, top, out + (size_t)t * (1 + c->n_alternatives));
        seen[token] = 1;
      }
      meet(&team);
    }
  }
  s->position += n;
}
