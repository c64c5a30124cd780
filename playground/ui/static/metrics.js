// What a chart of runs can draw: its metrics and horizontal axes.

/**
 * What else is measured at every step, by its name in `StepDone`: a metric of the training needs a line here to be drawn.
 * `short` is its name in races, whose charts leave out what is `planned` by the settings.
 */
const STEP_METRICS = {
  grad_norm: { name: "Gradient norm", short: "Gradient", axis: "gradient norm (L2)" },
  learning_rate: { name: "Learning rate", axis: "learning rate", planned: true, unsmoothed: true, digits: ".2e", ticks: "~e" },
};

/** These as entries of a chart's metrics. */
export const stepMetrics = (race = false) => Object.fromEntries(Object.entries(STEP_METRICS).filter(([, metric]) => !(race && metric.planned))
  .map(([id, metric]) => [id, { ...metric, name: (race && metric.short) || metric.name, train: (r) => r.train[id], validation: null }]));

const perplexity = (loss) => (loss == null ? null : Math.exp(loss));

/** Metric → axis title, and its train and validation columns (null where it is not measured). */
export const RUN_METRICS = {
  loss: { name: "Loss", axis: "loss (nats per token)", ofLoss: (loss) => loss, train: (r) => r.train.loss, validation: (r) => r.validation.loss },
  perplexity: { name: "Perplexity", axis: "perplexity", log: true, ofLoss: perplexity,
    train: (r) => r.train.loss.map(perplexity), validation: (r) => r.validation.loss.map(perplexity) },
  bits_per_byte: { name: "Bits per byte", axis: "bits per byte of text", ofLoss: (loss, r) => (loss == null || !r.bits_per_nat ? null : loss * r.bits_per_nat),
    train: (r) => r.train.loss.map((loss) => (loss == null || !r.bits_per_nat ? null : loss * r.bits_per_nat)),
    validation: (r) => r.validation.bits_per_byte },
  accuracy: { name: "Accuracy", axis: "top-1 accuracy (%)", train: null, digits: ".1f",
    validation: (r) => r.validation.accuracy.map((share) => (share == null ? null : 100 * share)) },
  ...stepMetrics(),
};
export const RUN_AXES = { step: "Step", tokens: "Tokens seen", seconds: "Seconds of training" };
