// BullMQ: node peer.js bulk N | single N | paced N MS | worker
//
// Speaks as ../probe does; its times are of the monotonic clock, which all processes of one machine share.
const fs = require('fs');
const { Queue, Worker } = require('bullmq');

const { hostname: host, port } = new URL(process.env.REDIS_URL);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const now = () => Number(process.hrtime.bigint());
const wall = () => (performance.timeOrigin + performance.now()) * 1e6;
// A monotonic time has about 14 digits, so the filler is five longer than that of ../probe: 200 bytes together.
const FILLER = 'x'.repeat(160);
const payload = (id) => ({ t: now(), id, pad: FILLER });
const options = { removeOnComplete: true };

function work() {
  const timed = process.env.BENCH_TIMED === '1';
  const waited = [];
  let count = 0;
  let first = 0;
  let last = 0;
  let reported = 0;
  const handler = async (job) => {
    if (timed) waited.push(Math.round((now() - job.data.t) / 1e3));
    last = wall();
    if (count++ === 0) first = last;
  };
  const concurrency = Number(process.env.CONCURRENCY || 100);
  const worker = new Worker('bench', handler, { connection, concurrency, ...options });
  worker.on('error', (error) => console.error(error));
  const file = `${process.env.BENCH_OUT}.${process.pid}.json`;
  setInterval(() => {
    if (count === reported) return;
    reported = count;
    const times = { began: Math.round(first), first: Math.round(first), last: Math.round(last) };
    fs.writeFileSync(`${file}.part`, JSON.stringify({ count, ...times, waited_us: waited }));
    fs.renameSync(`${file}.part`, file);
  }, 50);
  process.on('SIGTERM', () => process.exit(0));
}

async function enqueue(task, jobs, apart) {
  const queue = new Queue('bench', { connection });
  await queue.waitUntilReady();
  const began = now();
  if (task === 'bulk') {
    const size = Number(process.env.BATCH || 1000);
    for (let at = 0; at < jobs; at += size) {
      const batch = [];
      for (let id = at; id < Math.min(jobs, at + size); id++) {
        batch.push({ name: 'noop', data: payload(id), opts: options });
      }
      await queue.addBulk(batch);
    }
  } else {
    const start = performance.now();
    for (let id = 0; id < jobs; id++) {
      const early = start + id * apart - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      await queue.add('noop', payload(id), options);
    }
  }
  console.log(JSON.stringify({ jobs, secs: (now() - began) / 1e9 }));
  await queue.close();
  process.exit(0);
}

const [, , task, jobs, apart] = process.argv;
if (task === 'worker') {
  work();
} else {
  enqueue(task, Number(jobs), Number(apart || 0)).catch((error) => {
    console.error(error);
    process.exit(1);
  });
}
