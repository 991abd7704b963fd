/** Placement on a real thread: a large cluster, a thread that dies, one that hangs. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { answerAsk } from '../placement/answer-ask.ts';
import type { PlacementCluster, PlacementInstance } from '../placement/cluster.ts';
import type { AllocateAsk, PlacementAnswer, PlacementView } from '../placement/placement-ask.ts';
import { cluster, instance, node } from '../placement/test-allocation.ts';
import type { PlacementService } from './placement-service.ts';
import { createPlacementWorker } from './placement-worker.ts';

const env = {
  now_ms: () => performance.now(),
  after(delay_ms: number, fn: () => void) {
    const timer = setTimeout(fn, delay_ms);
    return () => clearTimeout(timer);
  },
  log: () => undefined,
};

const program = (source: string) =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads';${source}`)}`,
  );

const viewOf = (of: PlacementCluster): PlacementView => ({ cluster: of, refusals: of.nodes.map(() => null) });

function large(nodes: number, instances: number): PlacementCluster {
  const hosts = Array.from({ length: nodes }, (_, at) =>
    node(`n${String(at).padStart(3, '0')}`, {
      total_memory_mib: 65_536,
      free_memory_mib: 65_536,
      total_cpus: 32,
    }),
  );
  const guests = Array.from({ length: instances }, (_, at) =>
    instance(`i${at}`, {
      template: 'sharedfile',
      primary: (at * 7) % nodes,
      memory_mib: 1_024 + (at % 3) * 512,
    }),
  );
  return cluster(hosts, guests);
}

function ask(name: string, memory_mib = 2_048): AllocateAsk {
  const {
    primary: _primary,
    secondary: _secondary,
    ...wanted
  } = instance(name, { template: 'sharedfile', memory_mib });
  return {
    type: 'allocate',
    instance: wanted,
    node_count: 1,
    group: null,
    exclude: [],
    admission: 'warn',
    check_policy: false,
  };
}

describe('placement worker', () => {
  let worker: PlacementService | null = null;
  afterEach(() => worker?.close());

  it('answers as the engine does on the spot, for 200 nodes and 4,000 instances, while the cluster changes', async (t) => {
    worker = createPlacementWorker({ env });
    let now = large(200, 4_000);
    for (let turn = 0; turn < 6; turn++) {
      const view = viewOf(now);
      const began_ms = performance.now();
      const answer: PlacementAnswer = await worker.answer(view, ask(`new${turn}`));
      t.diagnostic(`question ${turn}: ${(performance.now() - began_ms).toFixed(1)} ms`);
      assert.deepEqual(answer, answerAsk(view, ask(`new${turn}`)));
      assert.equal(answer.nodes?.length, 1);
      // One comes, one changes, one goes; the rest are the same objects.
      const chosen = now.nodes.findIndex(({ uuid }) => uuid === answer.nodes?.[0]?.node);
      const [, second, ...rest] = now.instances;
      const grown: PlacementInstance = { ...second!, memory_mib: second!.memory_mib + 512 };
      const added = instance(`new${turn}`, { template: 'sharedfile', memory_mib: 2_048, primary: chosen });
      const nodes = now.nodes.map((one, at) =>
        at === chosen ? { ...one, free_memory_mib: one.free_memory_mib - 2_048 } : one,
      );
      now = { ...now, nodes, instances: [grown, ...rest, added] };
    }
  });

  it('reports on a thread of its own, one at a time', async () => {
    worker = createPlacementWorker({ env });
    const view = viewOf(large(3, 6));
    const report = worker.report(view, {
      type: 'capacity',
      template: 'sharedfile',
      lost: null,
      losses_only: false,
    });
    const after = worker.report(view, {
      type: 'capacity',
      template: 'sharedfile',
      lost: null,
      losses_only: true,
    });
    const service = worker;
    const more = Array.from({ length: 20 }, () =>
      service.report(view, { type: 'reboots', nodes: [], together: false, at_once: null, offline: false }),
    );
    const refused = (await Promise.allSettled(more)).filter(({ status }) => status === 'rejected');
    assert.equal(refused.length, 14, 'eight may wait');
    assert.deepEqual((await after).groups, []);
    assert.equal((await worker.answer(view, ask('new'))).nodes?.length, 1);
    const { groups, losses } = await report;
    assert.ok(groups[0]!.standard.count > 0);
    assert.deepEqual(
      losses.map(({ node: of, homeless }) => [of, homeless.length]),
      [
        ['n000', 0],
        ['n001', 0],
        ['n002', 0],
      ],
    );
  });

  it('refuses what a dying thread was asked, says when the next one comes, and starts it', async () => {
    let now_ms = 0;
    worker = createPlacementWorker({
      env: { ...env, now_ms: () => now_ms },
      entry: program('parentPort.on("message", () => process.exit(3));'),
    });
    const view = viewOf(large(2, 2));
    const both = [worker.answer(view, ask('a')), worker.answer(view, ask('b'))];
    for (const one of both) await assert.rejects(one, /ended with status 3/);
    await assert.rejects(worker.answer(view, ask('c')), /died 1 times and is started again in 100 ms/);
    now_ms = 100;
    await assert.rejects(worker.answer(view, ask('d')), /ended with status 3/);
    await assert.rejects(worker.answer(view, ask('e')), /died 2 times and is started again in 200 ms/);
  });

  it('ends a thread that does not answer in time', async () => {
    worker = createPlacementWorker({
      env,
      entry: program('parentPort.on("message", () => { for (;;); });'),
      timeout_ms: 50,
    });
    await assert.rejects(worker.answer(viewOf(large(2, 2)), ask('a')), /no answer within 50 ms/);
  });

  it('takes a bounded number of questions, and none once it is closed', async () => {
    worker = createPlacementWorker({ env, entry: program('parentPort.on("message", () => {});') });
    const { answer } = worker;
    const view = viewOf(large(2, 2));
    const waiting = Array.from({ length: 64 }, (_, at) => answer(view, ask(`i${at}`)));
    const ended = Promise.allSettled(waiting);
    await assert.rejects(answer(view, ask('more')), /64 questions wait already/);
    await worker.close();
    for (const one of await ended) assert.equal(one.status, 'rejected');
    await assert.rejects(answer(view, ask('late')), /the agent is ending/);
  });

  it('answers an error of the engine with its text', async () => {
    worker = createPlacementWorker({ env });
    const view = viewOf(large(2, 2));
    const broken = { ...ask('a'), instance: null } as unknown as AllocateAsk;
    await assert.rejects(worker.answer(view, broken), /Cannot read properties/);
    assert.equal((await worker.answer(view, ask('b'))).nodes?.length, 1);
  });
});
