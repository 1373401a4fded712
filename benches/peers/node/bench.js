// What the Node peers share: the command line, and a drain by one or more processes.
//
// A peer is an object with
//   name        settings -> what it is called, with its version
//   defaults    its settings, each of which --NAME VALUE overrides; `processes` is one of them
//   describe    settings -> what is printed about them
//   enqueue     (url, jobs, settings): makes the schema and enqueues the jobs
//   connect     (url, settings, started): all that can be done before work begins; calls started()
//               as the first thing of each job; gives a function that begins the work
//   unfinished  SQL of one boolean: whether any job is not yet completed
//   pickup      (url, jobs, settings) -> milliseconds from enqueue to handler, for each job (optional)

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pg from "pg";

const child = fileURLToPath(new URL("child.js", import.meta.url));

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Milliseconds of the clock that all processes of the machine share. */
export const now = () => Number(process.hrtime.bigint()) / 1e6;

/** The command line: PHASE --jobs N --database URL [--SETTING VALUE]... */
export function commandLine(defaults) {
  const options = { jobs: { type: "string" }, database: { type: "string" } };
  for (const name of Object.keys(defaults)) options[name] = { type: "string" };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const { jobs, database, ...given } = values;
  const settings = { ...defaults };
  for (const [name, value] of Object.entries(given)) settings[name] = Number(value);
  return { phase: positionals[0], jobs: Number(jobs), url: database, settings };
}

/** Connects every client of the pool, so that no connection is made while measuring. */
export async function fill(pool, size) {
  const clients = await Promise.all(Array.from({ length: size }, () => pool.connect()));
  for (const client of clients) client.release();
}

/** Drains in `settings.processes` processes, from the first job that starts to the last completed. */
export async function drain(peer, file, { jobs, url, settings }) {
  const observer = new pg.Client({ connectionString: url });
  await observer.connect();

  let first = Infinity;
  let started = 0;
  const children = [];
  const failed = new Promise((_, reject) => {
    for (let i = 0; i < settings.processes; i++) {
      // Its stdout is our stderr: ours is for the result alone.
      const worker = fork(child, [file, url, JSON.stringify(settings)], {
        stdio: ["ignore", 2, 2, "ipc"],
      });
      worker.on("exit", (code) => reject(new Error(`a worker process ended with ${code}`)));
      children.push(worker);
    }
  });
  const until = (condition) => Promise.race([condition, failed]);

  try {
    await until(Promise.all(children.map((c) => new Promise((done) => c.once("message", done)))));
    for (const c of children) {
      c.on("message", (message) => {
        first = Math.min(first, message.first);
        started += message.started;
      });
      c.send("begin");
    }
    while (started < jobs) await until(pause(1));
    // All have started, so that asking is cheap from here on: few can be left.
    while ((await until(observer.query(peer.unfinished))).rows[0].unfinished) await pause(1);
    const seconds = (now() - first) / 1e3;
    return { seconds, rate: jobs / seconds };
  } finally {
    for (const c of children) {
      c.removeAllListeners("exit");
      c.kill("SIGKILL");
    }
    await observer.end();
  }
}

/** The nearest-rank percentiles of some milliseconds. */
function percentiles(latencies) {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (p) => sorted[Math.ceil(p * sorted.length) - 1];
  return { p50_ms: at(0.5), p99_ms: at(0.99) };
}

/** Runs a peer as its command line says. */
export async function main(peer, file) {
  const command = commandLine(peer.defaults);
  const { phase, jobs, settings } = command;
  if (phase === "enqueue") {
    await peer.enqueue(command.url, jobs, settings);
  } else if (phase === "drain") {
    const { seconds, rate } = await drain(peer, file, command);
    const line = { peer: peer.name(settings), mode: "drain", jobs, seconds, rate };
    console.log(JSON.stringify({ ...line, settings: peer.describe(settings) }));
  } else if (phase === "pickup" && peer.pickup) {
    const line = { peer: peer.name(settings), mode: "pickup", jobs };
    const latencies = percentiles(await peer.pickup(command.url, jobs, settings));
    console.log(JSON.stringify({ ...line, ...latencies, settings: peer.describe(settings) }));
  } else {
    throw new Error(`no such phase: ${phase}`);
  }
}
