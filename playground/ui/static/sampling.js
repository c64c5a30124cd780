// The arithmetic of sampling, in the browser, so that sliders answer at once.
// The reference is playground/inference/sampling.py; a test holds this file to it, ties and edges included.

/** softmax((logits - largest) / temperature) of the tokens that come first in `order`; the others get 0. */
function softmax(logits, order, temperature) {
  const out = new Float64Array(logits.length);
  let total = 0;
  for (const i of order) total += out[i] = Math.exp((logits[i] - logits[order[0]]) / temperature);
  for (const i of order) out[i] /= total;
  return out;
}

/** Logits in which tokens that were seen are less likely: divided by the penalty if positive, else multiplied. */
function penalised(logits, seen, penalty) {
  const scores = Float64Array.from(logits);
  if (penalty !== 1) for (const i of new Set(seen)) scores[i] = scores[i] < 0 ? scores[i] * penalty : scores[i] / penalty;
  return scores;
}

/** Token ids, likeliest first; among equal ones the lower id. */
const ranked = (scores) => Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);

/**
 * Repetition penalty, temperature, top-k, top-p, min-p, as in the Python reference.
 *
 * before: softmax of the raw logits. after: what is drawn from, sums to 1. removedBy: null where the token stays in
 * play, else the filter that took it out. top_k 0, top_p 1, min_p 0 and repetition_penalty 1 switch a filter off,
 * temperature 0 is top-k 1; among equal logits the lower token id stays; the token that crosses top_p is kept, so that
 * one always remains. seen: ids of the text so far.
 */
export function filterDistribution(logits, { temperature = 1, top_k = 0, top_p = 1, min_p = 0, repetition_penalty = 1 } = {}, seen = []) {
  const size = logits.length;
  const scores = penalised(logits, seen, repetition_penalty);
  const order = ranked(scores);
  const k = Math.min(size, temperature === 0 ? 1 : top_k || size);
  const before = softmax(logits, repetition_penalty === 1 ? order : ranked(logits), 1);
  const after = softmax(scores, order.slice(0, k), temperature || 1);
  const removedBy = new Array(size).fill(null);
  for (let rank = k; rank < size; rank++) removedBy[order[rank]] = "top-k";
  let reached = 0;
  let kept = 0;
  const least = min_p * after[order[0]];
  for (let rank = 0; rank < k; rank++) {
    const i = order[rank];
    const p = after[i];
    reached += p;
    if (rank > 0 && top_p < 1 && reached - p >= top_p) removedBy[i] = "top-p";
    else if (rank > 0 && p < least) removedBy[i] = "min-p";
    else {
      kept += p;
      continue;
    }
    after[i] = 0;
  }
  if (kept !== 1) for (let rank = 0; rank < k; rank++) after[order[rank]] /= kept;
  return { before, after, removedBy };
}

/** The token that a uniform random number in [0, 1) falls on, when tokens lie side by side in the order of their ids. */
export const drawToken = (probabilities, uniform, byId) => {
  let last = 0;
  let total = 0;
  for (const i of byId) total += probabilities[i];
  let reached = 0;
  for (const i of byId) {
    if (probabilities[i] > 0) last = i;
    reached += probabilities[i];
    if (reached > uniform * total) return i;
  }
  return last;
};

/** Entropy of a distribution, in bits. */
export const entropyBits = (p) => {
  let bits = 0;
  for (const x of p) if (x > 0) bits -= x * Math.log2(x);
  return bits;
};
