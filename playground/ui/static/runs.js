// The points of runs that the server has sent so far, and what is computed from them.

/** @import { CurvesAnswer, CurvesQuestion, RunNews, RunSample } from "./types.js" */
/** @typedef {Record<string, (number | null)[]>} Table */
/** @typedef {Omit<RunNews, "train" | "validation" | "samples"> & { train: Table, validation: Table, samples: RunSample[] }} Run */

/** A table of events by step, one list a column; it has the columns that arrive, and null in all rows of any other. */
export const emptyTable = () => new Proxy(/** @type {Table} */ ({ step: [] }), {
  get: (columns, name) => (name in columns || typeof name !== "string" ? Reflect.get(columns, name) : Array(columns.step.length).fill(null)),
});

/**
 * Append only-new rows; a column that the server left out is padded with null, so that rows stay rows.
 *
 * @param {Table} table
 * @param {Table | undefined} rows
 */
export function extend(table, rows) {
  const before = table.step.length;
  const count = rows?.step?.length ?? 0;
  for (const name of new Set([...Object.keys(table), ...Object.keys(rows ?? {})])) {
    if (!(name in table)) table[name] = Array(before).fill(null);
    for (let i = 0; i < count; i++) table[name].push(rows[name]?.[i] ?? null);
  }
  return count;
}

/** The runs received so far, grown by each reply of `curves`. */
export class Runs {
  constructor() {
    /** @type {Map<string, Run>} */
    this.byId = new Map();
  }

  /**
   * What to send to `curves`: where we stand with each of these runs.
   *
   * @param {string} visitor
   * @param {string[]} ids
   * @returns {CurvesQuestion}
   */
  request(visitor, ids) {
    return { visitor, cursors: Object.fromEntries(ids.map((id) => [id, this.byId.get(id)?.cursor ?? null])) };
  }

  /**
   * Take a reply in; true if anything that is drawn changed.
   *
   * @param {CurvesAnswer | undefined} reply
   */
  absorb(reply) {
    let changed = false;
    for (const news of reply?.runs ?? []) {
      let run = this.byId.get(news.id);
      if (!run || news.reset) {
        run = /** @type {Run} */ ({ train: emptyTable(), validation: emptyTable(), samples: [] });
        this.byId.set(news.id, run);
        changed = true;
      }
      const { train, validation, samples, ...facts } = news;
      changed ||= run.state !== facts.state || run.step !== facts.step || run.message !== facts.message || run.waiting !== facts.waiting;
      Object.assign(run, facts);
      if (extend(run.train, train)) changed = true;
      if (extend(run.validation, validation)) changed = true;
      if (samples?.length) {
        run.samples.push(...samples);
        changed = true;
      }
    }
    return changed;
  }
}

/**
 * The last value of a column that is not null, or null.
 *
 * @param {(number | null)[]} column
 */
export const lastOf = (column) => {
  for (let i = column.length - 1; i >= 0; i--) if (column[i] != null) return column[i];
  return null;
};

/** The weight with which training losses are smoothed, unless a chart's slider says otherwise; the run doctor uses the same. */
export const SMOOTHING = 0.8;

/**
 * Exponential moving average, unbiased at its start (as TensorBoard's): weight 0 is the raw curve.
 *
 * @param {(number | null)[]} values
 * @param {number} weight
 */
export function smooth(values, weight) {
  if (weight <= 0) return values;
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    if (value == null || !Number.isFinite(value)) return value;
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}
