// The points of runs, what is computed from them, and the palette.

import assert from "node:assert/strict";
import { test } from "node:test";

import { cividis } from "../../playground/ui/static/colours.js";
import { emptyTable, extend, Runs, smooth } from "../../playground/ui/static/runs.js";
import { lossAt } from "../../playground/ui/static/timeline.js";
import { readable } from "../../playground/ui/static/view.js";

const close = (found, expected) => assert.ok(Math.abs(found - expected) < 1e-9, `${found} is not ${expected}`);

test("letters can be read on the whole palette", () => {
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  assert.equal(cividis.length, 256);
  for (const rgb of cividis) {
    const [dark, light] = [luminance(rgb), { "#000": 0, "#fff": 1 }[readable(rgb)]].sort((a, b) => a - b);
    assert.ok((light + 0.05) / (dark + 0.05) >= 4.5, String(rgb));
  }
});

test("the loss at a step lies on the line that is drawn, which is logarithmic in step + 1", () => {
  const curve = { step: [0, 9, 99], loss: [5, 3, null] };
  assert.deepEqual(lossAt(curve, 0), { loss: 5, measured: true });
  assert.deepEqual(lossAt(curve, 9), { loss: 3, measured: true });
  const between = lossAt(curve, 2);
  close(between.loss, 5 - 2 * Math.log10(3));
  assert.equal(between.measured, false);
  assert.equal(lossAt(curve, 99).loss, 3);
  assert.equal(lossAt({ step: [10], loss: [2] }, 3), null);
});

test("smoothing is an unbiased moving average", () => {
  const values = [5, 4, null, 3, 2.5];
  let [total, mass] = [0, 0];
  const expected = values.map((value) => {
    if (value === null) return null;
    [total, mass] = [0.9 * total + 0.1 * value, 0.9 * mass + 0.1];
    return total / mass;
  });
  smooth(values, 0.9).forEach((found, i) => (expected[i] === null ? assert.equal(found, null) : close(found, expected[i])));
  assert.deepEqual(smooth(values, 0), values);
});

test("runs take in only new points and start over on reset", () => {
  const runs = new Runs();
  const news = (step, extra) => ({ runs: [{ id: "a", state: "running", step, cursor: step, reset: false,
    train: { step: [step], loss: [1 / step] }, validation: { step: [] }, samples: [], ...extra }] });
  runs.absorb(news(1, { reset: true }));
  runs.absorb(news(2, {}));
  assert.deepEqual(runs.byId.get("a").train.step, [1, 2]);
  assert.deepEqual(runs.request("me", ["a", "b"]), { visitor: "me", cursors: { a: 2, b: null } });
  runs.absorb(news(7, { reset: true }));
  runs.absorb(undefined);
  assert.deepEqual(runs.byId.get("a").train.step, [7]);
  assert.deepEqual(runs.byId.get("a").train.tokens, [null]);
});

test("a table has the columns that arrive; one that came late or never is null in the rows without it", () => {
  const table = emptyTable();
  const counts = [{ step: [1, 2], loss: [3, 2] }, undefined, { step: [] }, { step: [3], margin: [0.5] }]
    .map((rows) => extend(table, rows));
  assert.deepEqual(counts, [2, 0, 0, 1]);
  assert.deepEqual(Object.keys(table), ["step", "loss", "margin"]);
  assert.deepEqual({ ...table }, { step: [1, 2, 3], loss: [3, 2, null], margin: [null, null, 0.5] });
  assert.deepEqual(table.never, [null, null, null]);
});
