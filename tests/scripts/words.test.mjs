// Numbers, tokens and shares in words.

import assert from "node:assert/strict";
import { test } from "node:test";

import { headInWords } from "../../playground/ui/static/head_card.js";
import { placed } from "../../playground/ui/static/ngrams.js";
import { madeBefore, makeQuestion, points, relation, withError } from "../../playground/ui/static/view.js";
import { done, duration, percent, signed, visible } from "../../playground/ui/static/words.js";

const each = (name, cases, check) => test(name, () => cases.forEach((one) => check(...one)));

each("tokens are shown with nothing invisible left", [
  [" the", "␣the"], ["\n", "⏎"], ["\t", "⇥"], ["", "∅"], ["\u202e", "U+202E"], ["\x00", "U+0000"], ["\u0301", "◌\u0301"],
  ["é", "é"], ["\ufffd", "\ufffd"], ["<b>", "<b>"],
], (token, shown) => assert.equal(visible(token), shown));

const TOKENS = ["m", "a", "x", "t", "t", ",", " ", "y", "o", " ", "b", "a", "t", "c", "h"];

each("a place is called after what heads look for", [
  [12, 12, "itself"], [12, 11, "the previous token"], [12, 10, "the start of its word"], [12, 9, "the space before its word"],
  [11, 2, "what followed an earlier “a” (induction)"], [12, 3, "an earlier “t”"], [9, 0, "the first token"],
  [12, 6, "6 tokens back"], [3, 12, "a later token"],
], (row, column, words) => assert.equal(relation(TOKENS, row, column), words));

test("a head is called after where it looks or not at all", () => {
  const scores = { previous: 0.1, duplicate: 0.2, induction: 0.92, sink: 0.3, entropy: 2.0, distance: 7.96 };
  assert.ok(headInWords(scores).startsWith("Gives 92 % of its attention to what followed an earlier copy"));
  assert.equal(headInWords({ ...scores, previous: 0.95 }), "Gives 95 % of its attention to the previous token.");
  assert.equal(headInWords({ ...scores, induction: 0.39 }),
    "No single pattern: its attention is spread over about 4 tokens, 8.0 back on average.");
  assert.equal(headInWords({ ...scores, induction: 0.39, entropy: 0.5, distance: 2.2 }),
    "Concentrated on about one token at a time, 2.2 back on average, but on none of the places that have a score here.");
});

test("a model is better than an n-gram only where that one predicts better than chance and than shorter ones", () => {
  const run = (baselines, loss, vocabulary = 32) => ({ vocabulary, bits_per_nat: 1 / Math.LN2, baselines, // a token is a byte
    validation: { step: loss.map((_, i) => 10 * i), loss: loss.map((x) => x * Math.LN2), loss_se: loss.map(() => 0.01) } });
  const text = { unigram: 4.5, bigram: 3.3, trigram: 2.3, "4-gram": 2.5, "5-gram": 2.6 };
  assert.equal(placed(run(text, [5, 3.4, 3, 2.9])), "Better than a bigram since step 20.");
  assert.equal(placed(run(text, [5, 2.55, 2.4])), "Better than a bigram since step 10.");
  assert.equal(placed(run(text, [5, 2.4, 2])), "Better than a trigram since step 20.");
  const random = { unigram: 4.8, bigram: 4.799, trigram: 4.802, "4-gram": 4.983, "5-gram": 5.965 };
  assert.equal(placed(run(random, [4.76, 0.1], 27)), ""); // each is worse than log2 27 = 4.75
  assert.equal(placed(run({ unigram: 4.5, trigram: 6 }, [5, 4.6])), "");
  assert.deepEqual([placed(run(null, [5, 1])), placed({ ...run(text, [5, 1]), bits_per_nat: null })], ["", ""]);
});

each("shares are none and all only where that is true", [
  [0, "0.0 %"], [0.0002, "< 0.1 %"], [0.032, "3.2 %"], [0.412, "41 %"], [0.994, "99 %"], [0.9964, "99.6 %"],
  [0.99971, "> 99.9 %"], [0.9999999, "100 %"], [1, "100 %"],
], (share, shown) => assert.equal(percent(share), shown));

test("an older question of the page is known as such", () => {
  const [first, second] = [makeQuestion("", "a", {}), makeQuestion("", "b", {})];
  assert.deepEqual([madeBefore(first, second), madeBefore(second, first), madeBefore(first, first)], [true, false, false]);
  const ofServer = { run: "c", nonce: 1e13 };
  assert.deepEqual([madeBefore(second, ofServer), madeBefore(ofServer, second), madeBefore(null, second), madeBefore(first, null)], [false, false, false, false]);
});

each("numbers in sentences are true at their edges", [
  [signed(0), "0.000"], [signed(-0.0004), "0.000"], [signed(0.0006), "+0.001"], [signed(-1.5, 1), "−1.5"],
  [withError(0, 0.01), "0.000 ± 0.010"], [withError(0.5, null), "+0.500"], [points(-0.0001), "0.0 points"],
  [done(0), "0 %"], [done(0.999), "99 %"], [done(0.29), "29 %"], [done(1), "100 %"],
  [duration(0.4), "1 s"], [duration(89), "89 s"], [duration(5369), "89 min"], [duration(7199), "2 h"],
  [duration(5400), "1 h 30 min"],
], assert.equal);

test("every question is a new one, so that pressing the button again asks again", () => {
  assert.notEqual(makeQuestion("v", "r", {}).nonce, makeQuestion("v", "r", {}).nonce);
});
