// Axes on a canvas.

/**
 * Round numbers between two bounds, a handful of them.
 *
 * @param {number} low
 * @param {number} high
 */
export function ticksOf(low, high) {
  const rough = (high - low) / 8;
  const size = 10 ** Math.floor(Math.log10(rough));
  const tick = [1, 2, 5, 10].map((k) => k * size).find((one) => one >= rough);
  return Array.from({ length: Math.floor(high / tick) - Math.ceil(low / tick) + 1 }, (_, i) => (Math.ceil(low / tick) + i) * tick);
}

/**
 * Two axes with ticks, on a canvas of some width and height: `project` gives the pixels of a point, `axis` the name of axis 0 or 1.
 *
 * @param {CanvasRenderingContext2D} paint
 * @param {(point: number[]) => number[]} project
 * @param {number} width
 * @param {number} height
 * @param {[number[], number[]]} bounds
 * @param {(axis: number) => string} axis
 */
export function drawAxes(paint, project, width, height, [low, high], axis) {
  const words = (at) => String(Number(at.toPrecision(3)));
  paint.beginPath();
  for (const at of ticksOf(low[0], high[0])) {
    const [x] = project([at, 0]);
    paint.moveTo(x, 4);
    paint.lineTo(x, height - 34);
    paint.textAlign = "center";
    paint.fillText(words(at), x, height - 21);
  }
  for (const at of ticksOf(low[1], high[1])) {
    const [, y] = project([0, at]);
    paint.moveTo(58, y);
    paint.lineTo(width - 4, y);
    paint.textAlign = "right";
    paint.fillText(words(at), 52, y + 4);
  }
  paint.stroke();
  paint.textAlign = "center";
  paint.textBaseline = "alphabetic";
  paint.fillText(axis(0), (width + 58) / 2, height - 4);
  paint.save();
  paint.translate(12, (height - 34) / 2);
  paint.rotate(-Math.PI / 2);
  paint.fillText(axis(1), 0, 0);
  paint.restore();
}
