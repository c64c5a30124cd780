// The arithmetic behind a race's curves, the ticks of axes, and line styles.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ticksOf } from "../../playground/ui/static/axes.js";
import { bits, exp, minusBaseline, overSeeds, place, speed } from "../../playground/ui/static/seed_curves.js";

const ARM = { tokens_per_step: 100, flops_per_token: 6, bits_per_nat: 0.5 };
const RUN = { train: { step: [1, 3, 5], seconds: [2, 4, 4] }, validation: { step: [0, 5], seconds: [0, 4] } };

test("a mean over seeds reaches as far as all of them, with a band from the lowest to the highest", () => {
  const curves = [{ x: [0, 1, 2], y: [4, 2, 1] }, { x: [0, 1], y: [6, 3] }];
  assert.deepEqual(overSeeds(curves, false), { x: [0, 1], y: [5, 2.5], band: { low: [4, 2], high: [6, 3] } });
  assert.deepEqual(overSeeds(curves.slice(0, 1), false), { x: [0, 1, 2], y: [4, 2, 1] });
  assert.deepEqual(overSeeds([curves[1], { x: [], y: [] }], false), { x: [0, 1], y: [6, 3] });
  assert.equal(overSeeds([{ x: [], y: [] }], false), null);
});

test("what cannot be drawn is left out: missing values, and on a logarithmic axis what is not positive", () => {
  const curves = [{ x: [0, 1, 2], y: [1, null, 0] }, { x: [0, 1, 2], y: [3, 2, 2] }];
  assert.deepEqual(overSeeds(curves, true).x, [0]);
  assert.deepEqual(overSeeds(curves, false).y, [2, 1]);
});

test("a long curve is thinned and keeps its end", () => {
  const x = Array.from({ length: 1001 }, (_, i) => i);
  const thin = overSeeds([{ x, y: x }], false);
  assert.ok(thin.x.length <= 252);
  assert.deepEqual([thin.x[0], thin.x.at(-1)], [0, 1000]);
});

test("differences are from the same seed at the same place, and nowhere else", () => {
  const found = minusBaseline([{ x: [0, 1, 5], y: [3, 2, 1] }, { x: [1], y: [9] }], [{ x: [0, 2], y: [4, 2] }, { x: [1], y: [5] }]);
  assert.deepEqual(found, [{ x: [0, 1], y: [-1, -1] }, { x: [1], y: [4] }]);
});

test("axes count steps, tokens, operations or seconds", () => {
  const along = (axis) => place(RUN, "validation", ARM, axis);
  assert.deepEqual([along("step"), along("tokens"), along("flops"), along("seconds")], [[0, 5], [0, 500], [0, 3000], [0, 4]]);
});

test("speed is tokens over the time since the point before; without time there is none", () => {
  assert.deepEqual(speed(RUN, ARM), [50, 100, null]);
});

test("perplexity and bits per byte are unknown where the loss or the tokenizer's length is", () => {
  assert.deepEqual([exp(0), exp(null), bits(ARM)(3), bits(ARM)(null), bits({ ...ARM, bits_per_nat: null })(3)], [1, null, 1.5, null, null]);
});

test("ticks are round numbers within the bounds, five to ten of them", () => {
  for (const [low, high] of [[-1, 1], [0.003, 0.0041], [-250, 1234], [7, 7.5]]) {
    const ticks = ticksOf(low, high);
    assert.ok(ticks.length >= 4 && ticks.length <= 10, String(ticks));
    assert.ok(ticks.every((tick) => tick >= low && tick <= high));
  }
  assert.deepEqual(ticksOf(0, 8), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});
