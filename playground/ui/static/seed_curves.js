// The curves of a race: one run a seed, their mean and band, and their difference from another arm's.

/** @import { Table } from "./runs.js" */
/** @import { RaceArm } from "../components/race_view.js" */
/** @typedef {Record<"train" | "validation", Table>} Run */
/** @typedef {Pick<RaceArm, "tokens_per_step" | "flops_per_token" | "bits_per_nat">} Arm */
/** @typedef {Record<"x" | "y", number[]>} Curve */

const MOST_POINTS = 250; // a line; a chart is some 700 pixels wide

export const exp = (loss) => (loss == null ? null : Math.exp(loss));
export const bits = (arm) => (loss) => (loss == null || !arm.bits_per_nat ? null : loss * arm.bits_per_nat);

/**
 * Tokens per second at each point, from the time that passed since the point before.
 *
 * @param {Run} run
 * @param {Arm} arm
 */
export function speed(run, arm) {
  const { step, seconds } = run.train;
  return step.map((s, i) => {
    const passed = seconds[i] - (seconds[i - 1] ?? 0);
    return passed > 0 ? ((s - (step[i - 1] ?? 0)) * arm.tokens_per_step) / passed : null;
  });
}

/**
 * Where a run's points stand on the chosen axis.
 *
 * @param {Run} run
 * @param {"train" | "validation"} part
 * @param {Arm} arm
 * @param {"step" | "tokens" | "flops" | "seconds" | "parameters"} axis
 */
export function place(run, part, arm, axis) {
  const { step, seconds } = run[part];
  if (axis === "seconds") return seconds;
  const each = { step: 1, tokens: arm.tokens_per_step, flops: arm.tokens_per_step * arm.flops_per_token, parameters: 1 }[axis];
  return each === 1 ? step : step.map((s) => s * each);
}

/**
 * A curve's value at x, by straight lines; null outside.
 *
 * @param {number[]} xs
 * @param {number[]} ys
 * @param {number} x
 */
function at(xs, ys, x) {
  let i = xs.findIndex((other) => other >= x);
  if (i < 0 || !xs.length || x < xs[0]) return null;
  if (xs[i] === x || i === 0) return ys[i];
  return ys[i - 1] + ((ys[i] - ys[i - 1]) * (x - xs[i - 1])) / (xs[i] - xs[i - 1]);
}

/**
 * Mean over seeds and the band from the lowest to the highest, as far as all seeds have come; null without points.
 *
 * @param {Curve[]} curves
 * @param {boolean} isLog
 * @returns {Curve & { band?: { low: number[], high: number[] } } | null}
 */
export function overSeeds(curves, isLog) {
  const going = curves.filter((curve) => curve.x.length);
  if (!going.length) return null;
  const n = Math.min(...going.map((curve) => curve.x.length));
  const stride = Math.max(1, Math.ceil(n / MOST_POINTS));
  const out = { x: [], y: [], band: { low: [], high: [] } };
  const picks = [];
  for (let i = 0; i < n - 1; i += stride) picks.push(i);
  if (n) picks.push(n - 1);
  for (const i of picks) {
    let [sum, low, high, x] = [0, Infinity, -Infinity, 0];
    for (const curve of going) {
      const value = curve.y[i];
      sum += value ?? NaN;
      x += curve.x[i] / going.length;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const mean = sum / going.length;
    if (!Number.isFinite(mean) || (isLog && low <= 0)) continue;
    out.x.push(x);
    out.y.push(mean);
    out.band.low.push(low);
    out.band.high.push(high);
  }
  if (going.length < 2) delete out.band;
  return out.x.length ? out : null;
}

/**
 * This arm's curves minus the first arm's of the same seed, at the same place of the axis.
 *
 * @param {Curve[]} curves
 * @param {Curve[]} baseline
 */
export function minusBaseline(curves, baseline) {
  return curves.map((curve, s) => {
    const rows = curve.x.map((x, i) => [x, curve.y[i], at(baseline[s].x, baseline[s].y, x)]).filter((row) => row[2] != null && row[1] != null);
    return { x: rows.map((row) => row[0]), y: rows.map((row) => row[1] - row[2]) };
  });
}
