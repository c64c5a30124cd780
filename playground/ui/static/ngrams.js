// The n-grams that were counted on a run's training text, as something to compare its loss with.

/** @import { Run } from "./runs.js" */

import { whole } from "./words.js";

/**
 * What they cost in nats per token, from the unigram to the 5-gram; none where the tokenizer has no bits per byte.
 *
 * @param {Run} run
 * @returns {{ name: string, loss: number }[]}
 */
export function grams(run) {
  return run.bits_per_nat ? Object.entries(run.baselines ?? {}).map(([name, bits]) => ({ name, loss: bits / run.bits_per_nat })) : [];
}

/**
 * Those that predict: better than a uniform choice and than every shorter one. Of little text the longer ones only
 * remember what was counted, and to be better than these says nothing.
 *
 * @param {Run} run
 */
function useful(run) {
  let best = Math.log(run.vocabulary);
  return grams(run).filter(({ loss }) => {
    const better = loss < best;
    best = Math.min(best, loss);
    return better;
  });
}

/**
 * Which n-gram the model has left behind for good, by more than two standard errors, and since when, in a sentence.
 *
 * @param {Run} run
 */
export function placed(run) {
  const { step, loss, loss_se: errors } = run.validation;
  let sentence = "";
  for (const gram of useful(run)) {
    const last = loss.findLastIndex((x, i) => x != null && x + 2 * (errors[i] ?? 0) >= gram.loss); // the last measurement that was not clearly better
    const since = loss.findIndex((x, i) => i > last && x != null);
    if (since >= 0) sentence = `Better than a ${gram.name} since step ${whole(step[since])}.`;
  }
  return sentence;
}
