// The arithmetic of sampling is quick; that it is right is checked against Python in test_parity.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { filterDistribution } from "../../playground/ui/static/sampling.js";

test("filtering is quick enough for a slider", () => {
  const logits = Float64Array.from({ length: 4096 }, (_, i) => Math.sin(i * 12.9898) * 5);
  const settings = { temperature: 0.8, top_k: 40, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.1 };
  for (let i = 0; i < 20; i++) filterDistribution(logits, settings);
  const times = Array.from({ length: 21 }, () => {
    const start = performance.now();
    filterDistribution(logits, settings, [1, 2, 3]);
    return performance.now() - start;
  });
  assert.ok(times.sort((a, b) => a - b)[10] < 25); // measured below 2 ms; the margin is for a busy machine
});
