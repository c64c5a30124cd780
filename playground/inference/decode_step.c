// Writing one text: what models/transformer.py computes for one new token, and inference/sampling.py to choose the next,
// without an interpreter between the operations. The formulas are theirs; tests/inference/test_decode_step.py holds this file
// to them. Weights are the model's own tensors, rows first; a pointer is null where a model has no such tensor. Matrices may
// come as bfloat16 instead of float32 (`half`): they are widened as they are read, and all arithmetic is in float32.
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {  // of one layer
  const void *query, *key, *value, *out, *gate, *up, *down;  // matrices
  const float *norm1, *norm1_bias, *query_bias, *key_bias, *value_bias, *query_norm, *key_norm, *sinks, *out_bias, *norm2,
      *norm2_bias, *gate_bias, *up_bias, *down_bias;
  float *keys, *values;   // the cache: (K, D, slots), turned already, and (slots, K, D); sums then run along what lies together
  int64_t *held;          // the position in each slot
  int capacity, n_sink;   // slots, the first of which are for the first tokens of the text
} Layer;

typedef struct {
  int width, n_layer, n_head, n_kv_head, head_dim, hidden, vocab_size, rope_dims, mlp, layer_norm, half, n_threads;
  float eps, qk_eps, softcap;
  const void *embed, *head;
  const float *norm, *norm_bias;
  const float *slopes;                // ALiBi: one a head, or null
  const float *added, *cosine, *sine; // a row for each position from `start` on: what is added to embeddings, how RoPE turns
  int64_t start, position;
  Layer *layers;
  float *logits, *work;               // `work`: C + 2 H D + K D + 2 hidden + H slots numbers
} Session;

enum { GELU, RELU2, SWIGLU, GEGLU, CLAMPED_SWIGLU };

static inline float as_float(float x) { return x; }

static inline float widened(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// out = weight x (+ bias) (+ out itself). Four rows at a time: a processor adds several sums at once, and each number of x is
// fetched for four of them. The threads of the surrounding region share the rows; nobody waits at the end.
#define MULTIPLY(NAME, TYPE, READ)                                                                                      \
  static void NAME(float *restrict out, const TYPE *restrict weight, const float *restrict bias, const float *restrict x, \
                   int rows, int columns, int add) {                                                                    \
    _Pragma("omp for schedule(static) nowait") for (int row = 0; row < rows; row += 4) {                                \
      const int n = rows - row < 4 ? rows - row : 4;                                                                    \
      const TYPE *w = weight + (size_t)row * columns;                                                                   \
      float sums[4] = {0, 0, 0, 0};                                                                                     \
      if (n == 4) {                                                                                                     \
        const TYPE *w1 = w + columns, *w2 = w1 + columns, *w3 = w2 + columns;                                           \
        float a = 0, b = 0, c = 0, d = 0;                                                                               \
        for (int i = 0; i < columns; i++) {                                                                             \
          const float v = x[i];                                                                                         \
          a += READ(w[i]) * v;                                                                                          \
          b += READ(w1[i]) * v;                                                                                         \
          c += READ(w2[i]) * v;                                                                                         \
          d += READ(w3[i]) * v;                                                                                         \
        }                                                                                                               \
        sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;                                                             \
      } else                                                                                                            \
        for (int k = 0; k < n; k++)                                                                                     \
          for (int i = 0; i < columns; i++) sums[k] += READ(w[(size_t)k * columns + i]) * x[i];                         \
      for (int k = 0; k < n; k++) out[row + k] = sums[k] + (bias ? bias[row + k] : 0.0f) + (add ? out[row + k] : 0.0f); \
    }                                                                                                                   \
  }
MULTIPLY(multiply_floats, float, as_float)
MULTIPLY(multiply_halves, uint16_t, widened)

static void multiply(const Session *s, float *out, const void *weight, const float *bias, const float *x, int rows, int columns,
                     int add) {
  if (s->half)
    multiply_halves(out, weight, bias, x, rows, columns, add);
  else
    multiply_floats(out, weight, bias, x, rows, columns, add);
}

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

static float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static void bend(float *up, const float *gate, int rows, int kind) {
#pragma omp for schedule(static)
  for (int row = 0; row < rows; row += 4)  // the rows that this thread has multiplied
    for (int i = row; i < row + 4 && i < rows; i++) switch (kind) {
        case GELU: up[i] = gelu(up[i]); break;
        case RELU2: up[i] = up[i] > 0 ? up[i] * up[i] : 0; break;
        case SWIGLU: up[i] *= gate[i] / (1.0f + expf(-gate[i])); break;
        case GEGLU: up[i] *= gelu(gate[i]); break;
        default: {
          const float g = gate[i] > 7.0f ? 7.0f : gate[i];
          up[i] = (clamp(up[i], -7.0f, 7.0f) + 1.0f) * g / (1.0f + expf(-1.702f * g));
        }
      }
}

// One head looks at everything its layer holds.
static void attend(const Session *s, const Layer *layer, int head, int n, const float *restrict q, float *restrict scores,
                   float *restrict z) {
  const int size = s->head_dim, from = head / (s->n_head / s->n_kv_head) * size;
  const size_t stride = s->n_kv_head * size;
  const float scale = 1.0f / sqrtf((float)size), *values = layer->values + from;
  float most = layer->sinks ? layer->sinks[head] : -1e30f, total = 0;
  for (int t = 0; t < n; t++) scores[t] = s->slopes ? -s->slopes[head] * (float)(s->position - layer->held[t]) : 0.0f;
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

// One layer, by all threads together: x (C) += attention, x += MLP.
static void pass(const Session *s, const Layer *layer, float *x, const float *cosine, const float *sine) {
  const int width = s->width, size = s->head_dim, q_width = s->n_head * size, kv_width = s->n_kv_head * size;
  const int64_t at = s->position;
  const int n_sink = layer->n_sink;
  const int slot = at < n_sink ? at : n_sink + (at - n_sink) % (layer->capacity - n_sink);
  const int n = at + 1 < layer->capacity ? at + 1 : layer->capacity;
  float *q = x + width, *k = q + q_width, *z = k + kv_width, *up = z + q_width, *gate = up + s->hidden,
        *scores = gate + s->hidden, *v = layer->values + (size_t)slot * kv_width, h[width];
  normalise(h, x, layer->norm1, layer->norm1_bias, width, s->eps, s->layer_norm);
  multiply(s, q, layer->query, layer->query_bias, h, q_width, width, 0);
  multiply(s, k, layer->key, layer->key_bias, h, kv_width, width, 0);
  multiply(s, v, layer->value, layer->value_bias, h, kv_width, width, 0);
#pragma omp master
  layer->held[slot] = at;
#pragma omp barrier
#pragma omp for schedule(static)
  for (int head = 0; head < s->n_head + s->n_kv_head; head++) {
    const int asks = head < s->n_head, from = (asks ? head : head - s->n_head) * size;
    float *part = (asks ? q : k) + from;
    if (layer->query_norm) normalise(part, part, asks ? layer->query_norm : layer->key_norm, 0, size, s->qk_eps, 0);
    if (cosine) rotate(part, cosine, sine, s->rope_dims / 2);
    for (int i = 0; !asks && i < size; i++) layer->keys[(size_t)(from + i) * layer->capacity + slot] = part[i];
  }
#pragma omp for schedule(static)
  for (int head = 0; head < s->n_head; head++)
    attend(s, layer, head, n, q + head * size, scores + (size_t)head * layer->capacity, z + head * size);
  multiply(s, x, layer->out, layer->out_bias, z, width, q_width, 1);
#pragma omp barrier
  normalise(h, x, layer->norm2, layer->norm2_bias, width, s->eps, s->layer_norm);
  if (layer->gate) multiply(s, gate, layer->gate, layer->gate_bias, h, s->hidden, width, 0);
  multiply(s, up, layer->up, layer->up_bias, h, s->hidden, width, 0);
  bend(up, gate, s->hidden, s->mlp);
  multiply(s, x, layer->down, layer->down_bias, up, width, s->hidden, 1);
#pragma omp barrier
}

// The logits after one more token.
void decode_feed(Session *s, int token) {
  const int width = s->width, half = s->rope_dims / 2;
  const int64_t ahead = s->position - s->start;
  const float *added = s->added ? s->added + ahead * width : 0;
  const float *cosine = s->cosine ? s->cosine + ahead * half : 0, *sine = s->sine ? s->sine + ahead * half : 0;
  float *x = s->work;
  for (int i = 0; i < width; i++) {
    const size_t at = (size_t)token * width + i;
    x[i] = (s->half ? widened(((const uint16_t *)s->embed)[at]) : ((const float *)s->embed)[at]) + (added ? added[i] : 0.0f);
  }
#pragma omp parallel num_threads(s->n_threads) if (s->n_threads > 1)
  {
    for (int l = 0; l < s->n_layer; l++) pass(s, s->layers + l, x, cosine, sine);
    float h[width];
    normalise(h, x, s->norm, s->norm_bias, width, s->eps, s->layer_norm);
    multiply(s, s->logits, s->head, 0, h, s->vocab_size, width, 0);
  }
  if (s->softcap > 0)
    for (int i = 0; i < s->vocab_size; i++) s->logits[i] = s->softcap * tanhf(s->logits[i] / s->softcap);
  s->position++;
}

typedef struct {
  double temperature, top_p, min_p, penalty;
  int top_k, n_alternatives;
} Choice;

// Ranks ids: higher scores first, lower ids first among equals.
static inline int before(const double *scores, int a, int b) {
  return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
}

static void sift(int *heap, int n, int at, const double *scores) {
  for (int child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && before(scores, heap[child + 1], heap[child])) child++;
    if (before(scores, heap[at], heap[child])) return;
    const int other = heap[at];
    heap[at] = heap[child], heap[child] = other;
  }
}

static int pop(int *heap, int *left, const double *scores) {
  const int first = heap[0];
  heap[0] = heap[--*left];
  sift(heap, *left, 0, scores);
  return first;
}

// sum of exp((scores - most) * scale), each of which goes to `weights`.
static double heated(double *restrict weights, const double *restrict scores, int n, double most, double scale) {
  double total = 0;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < n; i++) total += weights[i] = exp((scores[i] - most) * scale);
  return total;
}

// Leaves in `weights`, whose sum is `total`, only what top-k and top-p keep. `order` has room for 2 `size` numbers.
static void ranked(double *weights, const double *scores, int *order, int size, int k, double top_p, double total) {
  const double least = k < size ? 0 : (1 - top_p) / size * total * (1 - 1e-9);  // all smaller ones together are beyond top-p
  int *heap = order + size, left = 0, found = 0, kept = 0;
  for (int i = 0; i < size; i++)
    if (weights[i] >= least) heap[left++] = i;
  for (int at = left / 2 - 1; at >= 0; at--) sift(heap, left, at, scores);
  if (k < size) {  // top-p counts what top-k has left
    total = 0;
    for (; found < k && left; found++) total += weights[order[found] = pop(heap, &left, scores)];
  }
  for (double reached = 0; !kept || reached < top_p; reached += weights[order[kept++]] / total) {
    if (kept == found && (found == k || !left)) break;
    if (kept == found) order[found++] = pop(heap, &left, scores);
  }
  for (int i = 0; i < kept; i++) weights[order[i]] *= -1;
  for (int i = 0; i < size; i++) weights[i] = weights[i] < 0 ? -weights[i] : 0;
}

// The id at which the running sum of `weights` passes `uniform` times their sum; `otherwise` where no weight is above 0.
static int drawn(const double *weights, int size, double uniform, int otherwise) {
  enum { BLOCK = 64 };
  double total = 0, sums[size / BLOCK + 1], reached = 0;
  for (int from = 0; from < size; from += BLOCK) {
    double sum = 0;
    for (int i = from; i < from + BLOCK && i < size; i++) sum += weights[i];
    total += sums[from / BLOCK] = sum;
  }
  const double target = uniform * total;
  int found = otherwise;
  for (int from = 0; from < size; reached += sums[from / BLOCK], from += BLOCK) {
    if (sums[from / BLOCK] <= 0 || (reached + sums[from / BLOCK] <= target && from + BLOCK < size)) continue;
    double inside = reached;
    for (int i = from; i < from + BLOCK && i < size; i++) {
      if (weights[i] <= 0) continue;
      found = i;  // the last one, should rounding leave the sum just short
      if ((inside += weights[i]) > target) return i;
    }
  }
  return found;
}

typedef struct {  // a drawn token as the model itself, before any filter, sees it
  int id;
  double probability;
} Drawn;

// Choose from the logits as inference/sampling.py does. `seen` marks the ids of the text so far, for the penalty; `room` has
// place for 2 V doubles, `order` for 2 V numbers. `out` gets the token, then the likeliest ones.
static int choose(const Session *s, const Choice *c, double uniform, const uint8_t *seen, double *room, int *order, Drawn *out) {
  const int size = s->vocab_size, n = c->n_alternatives < size ? c->n_alternatives : size;
  const float *logits = s->logits;
  double *scores = room, *weights = room + size;
  int likeliest = 0, best = 0, listed = 0;
  for (int i = 0; i < size; i++) scores[i] = logits[i];
  for (int i = 1; i < size; i++)
    if (logits[i] > logits[likeliest]) likeliest = i;
  for (int i = 0; n && i < size; i++) {  // insertion into a short list
    if (listed == n && scores[i] <= scores[out[n].id]) continue;
    int at = listed < n ? ++listed : n;
    for (; at > 1 && scores[out[at - 1].id] < scores[i]; at--) out[at] = out[at - 1];
    out[at].id = i;
  }
  const double most = logits[likeliest], own = heated(weights, scores, size, most, 1);
  for (int i = 1; i <= listed; i++) out[i].probability = weights[out[i].id] / own;
  if (c->penalty != 1) {
    for (int i = 0; i < size; i++)
      if (seen[i]) scores[i] = scores[i] < 0 ? scores[i] * c->penalty : scores[i] / c->penalty;
    for (int i = 1; i < size; i++)
      if (scores[i] > scores[best]) best = i;
  } else
    best = likeliest;
  const int k = c->temperature == 0 ? 1 : c->top_k && c->top_k < size ? c->top_k : size;
  int token = best;
  if (k > 1) {
    double total = own, top = scores[best];
    if (c->temperature != 1 || c->penalty != 1) total = heated(weights, scores, size, top, fmin(1e300, 1 / c->temperature));
    const double least = c->min_p * weights[best];
    if (k < size || c->top_p < 1) ranked(weights, scores, order, size, k, c->top_p, total);
    if (least > 0)
      for (int i = 0; i < size; i++) weights[i] = weights[i] >= least ? weights[i] : 0;
    token = drawn(weights, size, uniform, best);
  }
  out->id = token;
  out->probability = exp(logits[token] - most) / own;
  return token;
}

// Write n tokens after `token`: feed one, choose the next, feed that. `seen` is kept up to date.
void decode_write(Session *s, const Choice *c, int token, int n, const double *uniforms, uint8_t *seen, double *room, int *order,
                  Drawn *out) {
  for (int t = 0; t < n; t++) {
    decode_feed(s, token);
    token = choose(s, c, uniforms[t], seen, room, order, out + (size_t)t * (1 + c->n_alternatives));
    seen[token] = 1;
  }
}
