// Sampling the next token from the logits, as inference/sampling.py does. Included by decode_step.c.

typedef struct {
  double temperature, top_p, min_p, penalty;
  int top_k, n_alternatives;
} Sampling;

typedef struct {
  const uint8_t *seen;  // (V): whether an id occurs in the text so far, for the repetition penalty
  double *scores, *weights;                  // (V): logits after the penalty, unnormalized probabilities
  double *peaks, *tops, *own, *sums;         // per panel: largest logit, largest score, sum of exp(logits), sum of weights
  int *ids;             // (V), buffer for ranking
} Workspace;

// Scores and weights of the ids below `n_tokens`, before filtering. Each thread processes its own panels.
static void softmax_shards(const Session *s, const Sampling *c, const Team *team, const Workspace *r, double *most, double *top) {
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
  wait_for_all(team);
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
  wait_for_all(team);
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

// Moves to the front, in any order, the smallest set of highest-ranked ids whose weights sum to `goal` (each weight is 1 if
// `weights` is null), at least one. Returns its size. Quickselect (Hoare): linear in n, where sorting everything is not.
static int select_top_p(int *ids, int n, const double *scores, const double *weights, double goal) {
  int from = 0, to = n;  // ids before `from` are in the set, ids from `to` on are not
  double reached = 0;
  while (to - from > 1) {
    const int middle = from + (to - from) / 2, pivot = ids[middle];
    int end = from;  // ids[from] to ids[end - 1] rank before the pivot, which is kept last
    double sum = 0;
    ids[middle] = ids[to - 1], ids[to - 1] = pivot;
    for (int i = from; i < to - 1; i++) {  // branch-free: a branch would be mispredicted half of the time
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

// Sets to zero the `weights`, whose sum is `total`, that top-k and top-p remove. `ids` is a buffer of `size` numbers.
static void apply_top_k_top_p(double *weights, const double *scores, int *ids, int size, int k, double top_p, double total) {
  const double least = k < size ? 0 : (1 - top_p) / size * total * (1 - 1e-9);  // all smaller weights together are outside top-p
  int n = 0;
  for (int i = 0; i < size; i++) ids[n] = i, n += weights[i] >= least;
  if (k < size) {  // top-p is relative to what top-k keeps
    n = select_top_p(ids, n, scores, 0, k), total = 0;
    for (int i = 0; i < n; i++) total += weights[ids[i]];
  }
  if (top_p < 1) n = select_top_p(ids, n, scores, weights, top_p * total);
  for (int i = 0; i < n; i++) weights[ids[i]] *= -1;
  for (int i = 0; i < size; i++) weights[i] = weights[i] < 0 ? -weights[i] : 0;
}

// The id at which the cumulative sum of `weights` exceeds `uniform` times their sum; `otherwise` if no weight is positive.
// `sums` are the sums of the panels.
static int draw(const double *weights, const double *sums, int size, double uniform, int otherwise) {
  const int n = panels(size);
  const double target = uniform * sum_of(sums, n);
  double reached = 0;
  int found = otherwise;
  for (int panel = 0; panel < n; reached += sums[panel++]) {
    if (sums[panel] <= 0 || (reached + sums[panel] <= target && panel + 1 < n)) continue;
    double inside = reached;
    for (int i = panel * PANEL; i < (panel + 1) * PANEL && i < size; i++) {
      if (weights[i] <= 0) continue;
      found = i;  // the last one, if rounding leaves the sum just short
      if ((inside += weights[i]) > target) return i;
    }
  }
  return found;
}

typedef struct {  // a token and its probability under the model, before any filter
  int id;
  double probability;
} Candidate;

// The n most likely tokens, lower ids first among equals: insertion into a short list, skipping panels that have none.
static int list_alternatives(const Session *s, const Workspace *r, Candidate *out, int n) {
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

// Filter and draw. `out` gets the chosen token, then the most likely ones. Returns the chosen id.
static int choose_token(const Session *s, const Sampling *c, double uniform, const Workspace *r, double most, double top, Candidate *out) {
  const int size = s->n_tokens, n = panels(size), listed = list_alternatives(s, r, out + 1, c->n_alternatives);
  double own = sum_of(r->own, n);  // over the whole vocabulary: padding ids are never drawn, but have a probability
  for (int i = size; i < s->vocab_size; i++) own += exp(fmin(s->logits[i] - most, 700));
  for (int i = 1; i <= listed; i++) out[i].probability = exp(s->logits[out[i].id] - most) / own;
  int panel = 0;
  while (panel + 1 < n && r->tops[panel] < top) panel++;
  int token = panel * PANEL;
  while (token + 1 < size && r->scores[token] < top) token++;  // the most likely one after the penalty
  const int k = c->temperature == 0 ? 1 : c->top_k && c->top_k < size ? c->top_k : size;
  if (k > 1) {
    const double least = c->min_p * r->weights[token];
    const int ranks = k < size || c->top_p < 1;
    if (ranks) apply_top_k_top_p(r->weights, r->scores, r->ids, size, k, c->top_p, sum_of(r->sums, n));
    for (int i = 0; least > 0 && i < size; i++) r->weights[i] = r->weights[i] >= least ? r->weights[i] : 0;
    for (panel = 0; (ranks || least > 0) && panel < n; panel++)
      r->sums[panel] = sum_of(r->weights + panel * PANEL, panel + 1 < n ? PANEL : size - panel * PANEL);
    token = draw(r->weights, r->sums, size, uniform, token);
  }
  out->id = token;
  out->probability = exp(s->logits[token] - most) / own;
  return token;
}
