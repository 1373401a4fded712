// pg-boss. A worker waits out its polling interval (at least 0.5 s) after each batch that took
// less, so that notifyWorker, which bypasses the wait, is called for each.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import pg from "pg";
import PgBoss from "pg-boss";
import { fill, main } from "./bench.js";

const { version } = createRequire(import.meta.url)("pg-boss/package.json");

const queue = "noop";

/** Connections of our own, opened before work begins (the documented `db` option). */
async function connections(url, size) {
  const pool = new pg.Pool({ connectionString: url, max: size, idleTimeoutMillis: 0 });
  await fill(pool, size);
  return { executeSql: (text, values) => pool.query(text, values) };
}

export const peer = {
  defaults: { processes: 2, workers: 2, batch: 5000 },
  name: () => `pg-boss ${version}`,
  describe: ({ processes, workers, batch }) =>
    `processes ${processes}, workers ${workers}, batchSize ${batch}, priority false, ` +
    "notifyWorker after each batch, supervise and schedule off",
  unfinished: `select exists (select from pgboss.job where name = '${queue}' and state < 'completed') as unfinished`,

  async enqueue(url, jobs) {
    const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
    boss.on("error", console.error);
    await boss.start();
    await boss.createQueue(queue);
    for (let done = 0; done < jobs; done += 5000) {
      const length = Math.min(5000, jobs - done);
      await boss.insert(Array.from({ length }, () => ({ name: queue, data: {} })));
    }
    await boss.stop({ graceful: false, wait: true });
  },

  async connect(url, { workers, batch }, started) {
    // Each worker fetches while its last batch is being completed.
    const db = await connections(url, 2 * workers);
    const boss = new PgBoss({ db, supervise: false, schedule: false });
    boss.on("error", console.error);
    await boss.start();
    return async () => {
      for (let i = 0; i < workers; i++) {
        const options = { batchSize: batch, pollingIntervalSeconds: 0.5, priority: false };
        const id = await boss.work(queue, options, async (jobs) => {
          started(jobs.length);
          boss.notifyWorker(id);
        });
      }
    };
  },
};

const file = fileURLToPath(import.meta.url);
if (process.argv[1] === file) {
  await main(peer, file);
  process.exit(0);
}
