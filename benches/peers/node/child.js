// A worker process of a drain: FILE URL SETTINGS. Says when it is ready, begins when told, and
// reports every few milliseconds how many jobs have started, and when the first did.

import { now } from "./bench.js";

const [file, url, settings] = process.argv.slice(2);
const { peer } = await import(file);

let first;
let started = 0;
const begin = await peer.connect(url, JSON.parse(settings), (jobs = 1) => {
  first ??= now();
  started += jobs;
});

setInterval(() => {
  if (started === 0) return;
  process.send({ first, started });
  started = 0;
}, 2);

process.once("message", begin);
process.on("disconnect", () => process.exit(0));
process.send("ready");
