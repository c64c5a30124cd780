// One decode step of the transformer for one text: what models/transformer.py computes for one new token, without an
// interpreter between its operations. The formulas are those of models/; tests/inference/test_decode_step.py holds this
// file to them. Weights are the model's own tensors, rows first; a pointer is null where a model has no such tensor.
#include <math.h>
#include <stddef.h>
#include <string.h>

typedef struct {
  int width, n_layer, n_head, n_kv_head, head_dim, hidden, vocab_size, rope_dims, mlp, layer_norm, n_threads;
  float eps, qk_eps, softcap;
} Shape;

typedef struct {  // of one layer
  const float *norm1, *norm1_bias, *query, *query_bias, *key, *key_bias, *value, *value_bias, *query_norm, *key_norm, *sinks,
      *out, *out_bias, *norm2, *norm2_bias, *gate, *gate_bias, *up, *up_bias, *down, *down_bias;
  float *keys, *values;  // the cache, (slots, K, D) each; keys are turned already
  int slot, n_slots;     // where this token goes, and how many slots hold something once it is there
  const float *bias;     // ALiBi: (H, n_slots) added to the scores, or null
} Layer;

enum { GELU, RELU2, SWIGLU, GEGLU, CLAMPED_SWIGLU };

// Four rows at a time: a processor adds several sums at once, and each number of x is fetched for four of them.
static void multiply(float *restrict out, const float *restrict weight, const float *restrict bias,
                     const float *restrict x, int rows, int columns, int n_threads) {
#pragma omp parallel for num_threads(n_threads) if (n_threads > 1 && (long)rows * columns > 150000)
  for (int row = 0; row < rows; row += 4) {
    const float *w = weight + (size_t)row * columns;
    const int n = rows - row < 4 ? rows - row : 4;
    float sums[4] = {0, 0, 0, 0};
    if (n == 4) {
      const float *w1 = w + columns, *w2 = w1 + columns, *w3 = w2 + columns;
      float a = 0, b = 0, c = 0, d = 0;
      for (int i = 0; i < columns; i++) {
        const float v = x[i];
        a += w[i] * v;
        b += w1[i] * v;
        c += w2[i] * v;
        d += w3[i] * v;
      }
      sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
    } else
      for (int k = 0; k < n; k++)
        for (int i = 0; i < columns; i++) sums[k] += w[(size_t)k * columns + i] * x[i];
    for (int k = 0; k < n; k++) out[row + k] = bias ? sums[k] + bias[row + k] : sums[k];
  }
}

static void normalise(float *restrict out, const float *restrict x, const float *weight, const float *bias, int n, float eps,
                      int centred) {
  float mean = 0, square = 0;
  if (centred) {
    for (int i = 0; i < n; i++) mean += x[i];
    mean /= n;
  }
  for (int i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / sqrtf(square / n + eps);
  for (int i = 0; i < n; i++) out[i] = (x[i] - mean) * scale * (weight ? weight[i] : 1.0f) + (bias ? bias[i] : 0.0f);
}

static void rotate(float *x, const float *cosine, const float *sine, int heads, int size, int dims) {
  const int half = dims / 2;
  for (int head = 0; head < heads; head++, x += size)
    for (int i = 0; i < half; i++) {
      const float a = x[i], b = x[i + half];
      x[i] = a * cosine[i] - b * sine[i];
      x[i + half] = b * cosine[i] + a * sine[i];
    }
}

static float gelu(float x) { return 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x))); }

static float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static void bend(float *up, const float *gate, int n, int kind) {
  for (int i = 0; i < n; i++) switch (kind) {
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

static void attend(float *restrict out, const float *restrict query, const Shape *s, const Layer *layer, float *scores) {
  const int group = s->n_head / s->n_kv_head, size = s->head_dim, stride = s->n_kv_head * size, n = layer->n_slots;
  const float scale = 1.0f / sqrtf((float)size);
  for (int head = 0; head < s->n_head; head++) {
    const float *q = query + head * size, *keys = layer->keys + head / group * size, *values = layer->values + head / group * size;
    float most = layer->sinks ? layer->sinks[head] : -1e30f, total = 0;
    for (int t = 0; t < n; t++) {
      float sum = 0;
      for (int i = 0; i < size; i++) sum += q[i] * keys[(size_t)t * stride + i];
      scores[t] = sum * scale + (layer->bias ? layer->bias[(size_t)head * n + t] : 0.0f);
      if (scores[t] > most) most = scores[t];
    }
    for (int t = 0; t < n; t++) total += scores[t] = expf(scores[t] - most);
    if (layer->sinks) total += expf(layer->sinks[head] - most);
    float *z = out + head * size;
    memset(z, 0, size * sizeof(float));
    for (int t = 0; t < n; t++) {
      const float weight = scores[t] / total;
      for (int i = 0; i < size; i++) z[i] += weight * values[(size_t)t * stride + i];
    }
  }
}

// `x` (C) comes in as the embedded token and goes out used up; `work` has room for 2 C + 2 H D + 2 hidden + slots numbers.
void decode_step(const Shape *s, const Layer *layers, float *restrict x, const float *cosine, const float *sine,
                 const float *norm, const float *norm_bias, const float *head, float *restrict logits, float *work) {
  const int width = s->width, size = s->head_dim, q_width = s->n_head * size, kv_width = s->n_kv_head * size,
            threads = s->n_threads;
  float *h = work, *q = h + width, *z = q + q_width, *delta = z + q_width, *up = delta + width, *gate = up + s->hidden,
        *scores = gate + s->hidden;
  for (int l = 0; l < s->n_layer; l++) {
    const Layer *layer = layers + l;
    float *k = layer->keys + (size_t)layer->slot * kv_width, *v = layer->values + (size_t)layer->slot * kv_width;
    normalise(h, x, layer->norm1, layer->norm1_bias, width, s->eps, s->layer_norm);
    multiply(q, layer->query, layer->query_bias, h, q_width, width, threads);
    multiply(k, layer->key, layer->key_bias, h, kv_width, width, threads);
    multiply(v, layer->value, layer->value_bias, h, kv_width, width, threads);
    if (layer->query_norm) {
      for (int i = 0; i < s->n_head; i++) normalise(q + i * size, q + i * size, layer->query_norm, 0, size, s->qk_eps, 0);
      for (int i = 0; i < s->n_kv_head; i++) normalise(k + i * size, k + i * size, layer->key_norm, 0, size, s->qk_eps, 0);
    }
    if (cosine) {
      rotate(q, cosine, sine, s->n_head, size, s->rope_dims);
      rotate(k, cosine, sine, s->n_kv_head, size, s->rope_dims);
    }
    attend(z, q, s, layer, scores);
    multiply(delta, layer->out, layer->out_bias, z, width, q_width, threads);
    for (int i = 0; i < width; i++) x[i] += delta[i];
    normalise(h, x, layer->norm2, layer->norm2_bias, width, s->eps, s->layer_norm);
    if (layer->gate) multiply(gate, layer->gate, layer->gate_bias, h, s->hidden, width, threads);
    multiply(up, layer->up, layer->up_bias, h, s->hidden, width, threads);
    bend(up, gate, s->hidden, s->mlp);
    multiply(delta, layer->down, layer->down_bias, up, width, s->hidden, threads);
    for (int i = 0; i < width; i++) x[i] += delta[i];
  }
  normalise(h, x, norm, norm_bias, width, s->eps, s->layer_norm);
  multiply(logits, head, 0, h, s->vocab_size, width, threads);
  if (s->softcap > 0)
    for (int i = 0; i < s->vocab_size; i++) logits[i] = s->softcap * tanhf(logits[i] / s->softcap);
}
