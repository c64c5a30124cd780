// Evaluates functions that come as lines of JSON, [source, argument], and answers with { value } or { error }, a line each.
// Arguments: the address of the folder of the scripts, and the names of the modules whose exports are `Playground`.

import { createInterface } from "node:readline";

const [folder, ...names] = process.argv.slice(2);
globalThis.Playground = Object.assign({}, ...(await Promise.all(names.map((name) => import(new URL(name, folder))))));
globalThis.document = { baseURI: folder }; // as in the page, whose scripts are addressed relative to it

for await (const line of createInterface({ input: process.stdin })) {
  const [source, argument] = JSON.parse(line);
  try {
    console.log(JSON.stringify({ value: await (0, eval)(`(${source})`)(argument) }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error.stack) }));
  }
}
