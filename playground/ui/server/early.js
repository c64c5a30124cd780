// Runs before any of Gradio's own scripts (ui/early.py puts it there).
//
// Gradio 6.31 leaves the stopwatch of its loading screen running for ever, at every frame: sixty times a second it wakes
// the browser, which interrupts a training on the same cores. A stopwatch shows tenths of a second at best, so stopwatches
// are called four times a second instead. They are known by what they do: seconds since some moment, from milliseconds.
(() => {
  const frame = window.requestAnimationFrame.bind(window);
  const isStopwatch = (work) => /performance\.now\(\)\s*-[^;]*\/\s*1e3/.test(Function.prototype.toString.call(work));
  window.requestAnimationFrame = (work) =>
    isStopwatch(work) ? setTimeout(() => work(performance.now()), 250) : frame(work);
})();

// In a frame of another site, as on a Space, a browser may refuse storage altogether, and Gradio's page would stay dead. Then it
// gets a storage that lasts as long as the page: a visitor's runs are theirs until they reload.
for (const name of ["localStorage", "sessionStorage"]) {
  try {
    void window[name].length;
  } catch {
    const kept = new Map();
    const storage = {
      getItem: (key) => kept.get(String(key)) ?? null,
      setItem: (key, value) => void kept.set(String(key), String(value)),
      removeItem: (key) => void kept.delete(String(key)),
      clear: () => kept.clear(),
      key: (n) => [...kept.keys()][n] ?? null,
      get length() {
        return kept.size;
      },
    };
    Object.defineProperty(window, name, { value: storage, configurable: true });
  }
}

// For every component of the page, Gradio 6.31 searches the targets of every event, hundreds of thousands of accesses, each
// through a proxy that Svelte puts around plain objects and arrays. The events never change: as objects of classes of their
// own they stay as they are, and the page is there a sixth of its computing time earlier.
{
  class Dependency {}
  class Dependencies extends Array {}
  let config;
  Object.defineProperty(window, "gradio_config", {
    configurable: true,
    get: () => config,
    set(value) {
      config = value;
      if (!Array.isArray(config?.dependencies)) return;
      for (const dependency of config.dependencies) Object.setPrototypeOf(dependency, Dependency.prototype);
      Object.setPrototypeOf(config.dependencies, Dependencies.prototype);
    },
  });
}
