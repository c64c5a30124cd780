// The arithmetic of sampling, in the browser, so that sliders answer at once.
// The reference is playground/inference/sampling.py; a test holds this file to it, ties and edges included.

window.Playground.filterDistribution = (() => {
  "use strict";

  /** softmax((logits - largest) / temperature) of the tokens that come first in `order`; the others get 0. */
  function softmax(logits, order, temperature) {
    const out = new Float64Array(logits.length);
    let total = 0;
    for (const i of order) total += out[i] = Math.exp((logits[i] - logits[order[0]]) / temperature);
    for (const i of order) out[i] /= total;
    return out;
  }

  /**
   * Temperature, then top-k, then top-p, as in the Python reference.
   *
   * before: softmax of the raw logits. after: what is drawn from, sums to 1. removedBy: null where the token stays in
   * play, else the filter that took it out. top_k 0 and top_p 1 switch a filter off, temperature 0 is top-k 1; among
   * equal logits the lower token id stays; the token that crosses top_p is kept, so that one always remains.
   */
  return function filterDistribution(logits, { temperature = 1, top_k = 0, top_p = 1 } = {}) {
    const size = logits.length;
    const order = Array.from({ length: size }, (_, i) => i).sort((a, b) => logits[b] - logits[a] || a - b);
    const k = Math.min(size, temperature === 0 ? 1 : top_k || size);
    const before = softmax(logits, order, 1);
    const after = softmax(logits, order.slice(0, k), temperature || 1);
    const removedBy = new Array(size).fill(null);
    for (let rank = k; rank < size; rank++) removedBy[order[rank]] = "top-k";

    if (top_p < 1) {
      let reached = 0;
      let kept = 0;
      for (let rank = 0; rank < k; rank++) {
        const p = after[order[rank]];
        reached += p;
        if (rank > 0 && reached - p >= top_p) {
          removedBy[order[rank]] = "top-p";
          after[order[rank]] = 0;
        } else kept += p;
      }
      for (let rank = 0; rank < k; rank++) after[order[rank]] /= kept;
    }
    return { before, after, removedBy };
  };
})();

/** Entropy of a distribution, in bits. */
window.Playground.entropyBits = (p) => {
  let bits = 0;
  for (const x of p) if (x > 0) bits -= x * Math.log2(x);
  return bits;
};
