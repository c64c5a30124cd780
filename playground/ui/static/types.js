// The types of what the page and the server say to each other, as far as several scripts use them.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @typedef {{ error: string }} Failure */
/** @typedef {{ visitor: string, run: string }} RunQuestion */
/** @typedef {{ step: number[], loss: (number | null)[] }} LossCurve */
/** @typedef {{ steps: number[], last: number, live: boolean, curve: LossCurve }} TimelineAnswer */
/** @typedef {{ visitor: string, run: string, step: number | null, text: string, special?: boolean }} TextQuestion */
/** @typedef {{ id: string, name: string, unit: string, definition: string, source: string }} Score */
/** @typedef {{ scores: Score[], values: Object<string, ((number | null)[])[]>, note: string }} HeadsAnswer */
/** @typedef {{ visitor: string, run: string, step: number | null, parts: [number, string, number][], how: "zero" | "mean", text?: string, special?: boolean }} AblateQuestion */
/** @typedef {{ next: ([string, number | null, number | null])[], before: string, after: string, note: string, loss: number | null, change: number | null, standard_error: number | null, n_tokens: number, n_windows: number }} AblateAnswer */
/** @typedef {{ visitor: string, run: string, nonce: number | string, step: number | null, text: string }} TextValue */
/** @typedef {{ visitor: string, cursors: Object<string, string | null> }} CurvesQuestion */
/** @typedef {{ step: number, prompt: string, text: string }} RunSample */
/** @typedef {{ id: string, cursor: string, reset: boolean, step: number, tokens_per_second: number | null, eta_seconds: number | null, waiting: string, name?: string, state?: string, message?: string, role?: string, reference?: boolean, model?: string, corpus?: string, tokenizer?: string, steps?: number, bits_per_nat?: number | null, no_bits?: string, tokens?: string, text?: string, tokenizer_id?: string, documents?: string, imported?: boolean, baselines?: Object<string, number> | null, vocabulary?: number, train?: Object<string, (number | null)[]>, validation?: Object<string, (number | null)[]>, samples?: RunSample[], notice?: string }} RunNews */
/** @typedef {{ runs: RunNews[], error?: string }} CurvesAnswer */
/** @typedef {{ visitor: string, run: string, step: number | null }} CheckpointQuestion */

export {};
