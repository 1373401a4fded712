// graphile-worker, as its performance page configures it with batching and without.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { fill, main, now, pause } from "./bench.js";

const { version } = createRequire(import.meta.url)("graphile-worker/package.json");

/** The batching of the performance page, or none. */
function batching(settings) {
  const on = settings.batching !== 0;
  return {
    localQueue: { size: on ? settings["local-queue"] : -1 },
    completeJobBatchDelay: on ? 0 : -1,
    failJobBatchDelay: on ? 0 : -1,
  };
}

/** Connects; gives a function that starts a runner of these tasks on those connections. */
async function runner(url, settings, taskList) {
  const size = settings.concurrency + 1;
  const pool = new pg.Pool({ connectionString: url, max: size, idleTimeoutMillis: 0 });
  pool.on("error", console.error);
  pool.on("connect", (client) => client.on("error", console.error));
  await fill(pool, size);
  return () =>
    run({
      pgPool: pool,
      noHandleSignals: true,
      parsedCronItems: [],
      taskList,
      preset: {
        worker: {
          concurrentJobs: settings.concurrency,
          maxPoolSize: size,
          ...batching(settings),
        },
      },
    });
}

export const peer = {
  defaults: { processes: 2, concurrency: 24, batching: 1, "local-queue": 500 },
  name: ({ batching }) => `graphile-worker ${version} ${batching ? "batched" : "unbatched"}`,
  describe(settings) {
    const { processes, concurrency } = settings;
    const { localQueue, completeJobBatchDelay } = batching(settings);
    return (
      `processes ${processes}, concurrentJobs ${concurrency}, maxPoolSize ${concurrency + 1}, ` +
      `localQueue.size ${localQueue.size}, completeJobBatchDelay ${completeJobBatchDelay}`
    );
  },
  unfinished: "select exists (select from graphile_worker._private_jobs) as unfinished",

  async enqueue(url, jobs) {
    const utils = await makeWorkerUtils({ connectionString: url });
    await utils.migrate();
    for (let done = 0; done < jobs; done += 5000) {
      const length = Math.min(5000, jobs - done);
      await utils.addJobs(Array.from({ length }, () => ({ identifier: "noop", payload: {} })));
    }
    await utils.release();
  },

  connect: (url, settings, started) => runner(url, settings, { noop: () => started() }),

  async pickup(url, jobs, settings) {
    const enqueued = [];
    const latencies = [];
    const start = await runner(url, settings, {
      timed({ i }) {
        latencies[i] = now() - enqueued[i];
      },
    });
    await start();
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const one = async (i) => {
      enqueued[i] = now();
      await client.query({
        name: "add_job",
        text: "select graphile_worker.add_job('timed', json_build_object('i', $1::int))",
        values: [i],
      });
      await pause(5);
    };
    // The first ones warm up; between them and the rest the worker falls idle again.
    const warm = 100;
    for (let i = 0; i < warm; i++) await one(i);
    await pause(1000);
    for (let i = warm; i < warm + jobs; i++) await one(i);
    while (Object.keys(latencies).length < warm + jobs) await pause(10);
    return latencies.slice(warm);
  },
};

const file = fileURLToPath(import.meta.url);
if (process.argv[1] === file) {
  await main(peer, file);
  process.exit(0);
}
