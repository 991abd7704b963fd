/** Jobs that choose nodes at the same time, on one leader and on the next. */
import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import type { OpInput } from '../config/model.ts';
import { fillBeParams } from '../config/params.ts';
import { createFakeWorld, type FakeWorld, type Hooks, leftovers, node_uuid } from './fake-world.ts';
import {
  createPlacementDesk,
  direct_placement,
  most_waiting,
  type PlacementEngine,
} from './placement-desk.ts';
import { wantedInstance } from './placement-view.ts';
import { ended, lead, settle } from './test-harness.ts';
import { aNode, anInstance, aPlanning, aReport, sceneState } from './test-placement-state.ts';
import { NodeCallError } from './types.ts';

/** Of each node of the fake world. */
const free_memory_mib = 4_096;

const create = (name: string, maxmem: number, more: Record<string, unknown> = {}): OpInput => ({
  OP_ID: 'OP_INSTANCE_CREATE',
  instance_name: name,
  mode: 'create',
  disk_template: 'diskless',
  disks: [],
  nics: [],
  beparams: { memory: maxmem },
  ...more,
});

/** A search that takes a while. */
const slow: PlacementEngine = {
  ...direct_placement,
  async answer(view, ask) {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    return direct_placement.answer(view, ask);
  },
};

function memoryByNode({ state }: FakeWorld): ReadonlyMap<string, number> {
  const cluster = state.get('cluster', 'cluster')!;
  const sums = new Map<string, number>();
  for (const instance of state.list('instances')) {
    const { maxmem } = fillBeParams(cluster, instance);
    sums.set(instance.owner.node, (sums.get(instance.owner.node) ?? 0) + maxmem);
  }
  return sums;
}

/** The same numbers each time, from 0 to below `limit`. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe('jobs that choose at the same time give no node more memory than it has', () => {
  for (let seed = 1; seed <= 12; seed++) {
    it(`seed ${seed}`, async () => {
      const draw = numbers(seed);
      const world = createFakeWorld(4);
      world.apply({
        type: 'cluster-set',
        time: 1,
        changes: { max_running_jobs: 30, beparams: { memory: 512 } },
      });
      const moving = ['old0', 'old1', 'old2', 'old3'];
      for (const name of moving) world.addInstance(name, { node: node_uuid(1) });
      world.nodes.get(node_uuid(1))!.guests.clear();
      world.evidence.set(node_uuid(1), { kind: 'power', text: 'test' });
      const ops = [
        ...Array.from({ length: 30 }, (_, at) =>
          create(`new${at}`, 256 + 64 * draw(20), draw(5) === 0 ? { pnode: `n${2 + draw(3)}` } : {}),
        ),
        ...moving.map((name) => ({ OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: name })),
      ];
      const order = ops.map((op) => ({ op, key: draw(1_000) })).sort((a, b) => a.key - b.key);
      const ids = order.map(({ op }) => world.submitWith({}, op));
      const hooks: Hooks = seed % 2 === 0 ? { placement: slow } : {};
      let most = 0;
      let changes = 0;
      let engine = lead(world, 1, hooks);
      const checked = () => {
        for (const [node, sum] of memoryByNode(world)) if (node !== node_uuid(1)) most = Math.max(most, sum);
      };
      world.onApplied(checked);
      for (let term = 2; term <= 4; term++) {
        const until = draw(80);
        const from = world.state.index;
        await settle(world, () => world.state.index - from > until || ids.every((id) => ended(world, id)));
        engine.stop();
        engine = lead(world, term, hooks);
        changes += 1;
      }
      await settle(world, () => ids.every((id) => ended(world, id)));
      engine.stop();
      assert.equal(changes, 3);
      assert.ok(most > free_memory_mib / 2, `the nodes were hardly used: ${most} MiB`);
      assert.ok(most < free_memory_mib, `a node was given ${most} of ${free_memory_mib} MiB`);
      const failed = ids.filter((id) => world.job(id).status === 'error');
      assert.ok(failed.length > 0 && failed.length < ids.length);
      for (const id of failed)
        assert.match(JSON.stringify(world.job(id).ops[0]?.result), /MiB of memory, has \d+ MiB free/);
      assert.deepEqual(leftovers(world), []);
    });
  }
});

test('what a job that failed had chosen is free again', async () => {
  const world = createFakeWorld(2);
  const engine = lead(world, 1, {
    call: ({ verb, args }) => {
      if (verb === 'instance.start' && String(args['instance']) === world.state.list('instances')[0]?.uuid)
        throw new NodeCallError('failed', 'no');
    },
  });
  const first = world.submitWith({}, create('a', 4_000, { pnode: 'n1' }));
  await settle(world, () => ended(world, first));
  assert.equal(world.job(first).status, 'error');
  engine.stop();
  const next = lead(world, 2);
  const second = world.submitWith({}, create('b', 4_000, { pnode: 'n1' }));
  await settle(world, () => ended(world, second));
  assert.equal(world.job(second).status, 'success');
  next.stop();
});

test('admission: the log says what can no longer be lost, or the job is refused, or nothing is said', async () => {
  const outcome = async (admission: 'off' | 'warn' | 'refuse') => {
    const world = createFakeWorld(2);
    world.apply({ type: 'cluster-set', time: 1, changes: { admission } });
    const engine = lead(world, 1);
    // Either may be lost with the first; with the second neither.
    const ids = [create('a', 2_500), create('b', 2_500)].map((op) => world.submitWith({}, op));
    await settle(world, () => ids.every((id) => ended(world, id)));
    engine.stop();
    const { status, ops } = world.job(ids[1]!);
    return [
      status,
      (ops[0]?.log ?? []).map(([, , kind, text]) => `${kind}: ${String(text)}`).join('\n'),
      String(JSON.stringify(ops[0]?.result)),
    ];
  };
  const [off, off_log] = await outcome('off');
  assert.deepEqual([off, off_log], ['success', '']);
  const [warned, warning] = await outcome('warn');
  assert.equal(warned, 'success');
  assert.match(
    warning!,
    /^warning: any one node could be lost before, and not any more: if node n1 were lost, a needs 2500 MiB of memory, the most that is free is 1596 MiB on n2 \(904 MiB short\)$/,
  );
  const [refused, , why] = await outcome('refuse');
  assert.equal(refused, 'error');
  assert.match(why!, /could not any more: if node n1 were lost.*admission is refuse.*insufficient_resources/);
});

test('more memory for an instance that is up is admitted like a new one', async () => {
  const world = createFakeWorld(2);
  world.addInstance('web', { node: node_uuid(1) });
  world.addInstance('db', { node: node_uuid(2) });
  const grow = (maxmem: number): OpInput => ({
    OP_ID: 'OP_INSTANCE_SET_PARAMS',
    instance_name: 'web',
    beparams: { memory: maxmem },
  });
  world.apply({ type: 'cluster-set', time: 1, changes: { admission: 'refuse' } });
  const engine = lead(world, 1);
  const [fine, refused] = [grow(3_900), grow(4_000)].map((op) => world.submitWith({}, op));
  await settle(world, () => ended(world, fine!) && ended(world, refused!));
  assert.equal(world.job(fine!).status, 'success');
  assert.equal(world.job(refused!).status, 'error');
  assert.match(
    JSON.stringify(world.job(refused!).ops[0]?.result),
    /if node n1 were lost, web needs 4000 MiB of memory/,
  );
  engine.stop();
});

describe('the desk', () => {
  const state = sceneState({ nodes: [aNode('a')] });
  const admit = {
    type: 'relocate',
    instance: 'i-none',
    may_stay: false,
    to: null,
  } as const;

  it('says what the matter is where there is no answer', async () => {
    const engine: PlacementEngine = {
      ...direct_placement,
      answer: () => Promise.reject(new Error('the thread died')),
    };
    const desk = createPlacementDesk({ state, engine, live: () => aReport() });
    await assert.rejects(
      desk.choose(admit, () => null),
      {
        ecode: 'temp_insufficient_resources',
        message: 'placement gave no answer: the thread died',
      },
    );
  });

  it('serves one at a time, and a bounded number', async () => {
    let release: () => void = () => undefined;
    let asked = 0;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const engine: PlacementEngine = {
      ...direct_placement,
      async answer(view, ask) {
        asked += 1;
        await held;
        return direct_placement.answer(view, ask);
      },
    };
    const desk = createPlacementDesk({ state, engine, live: () => aReport() });
    const all = Array.from({ length: most_waiting }, () => desk.choose(admit, () => null));
    await assert.rejects(
      desk.choose(admit, () => null),
      /200 jobs wait for placement already/,
    );
    assert.equal(asked, 1);
    release();
    assert.equal((await Promise.all(all)).length, most_waiting);
    assert.equal(asked, most_waiting);
  });

  it('lets who asks for more memory see who was given some a moment before', async () => {
    const on = [anInstance('web', 'n1'), anInstance('db', 'n1')];
    const jobs = [1, 2].map((id) => aPlanning(id, 'OP_INSTANCE_SET_PARAMS', null).job);
    const scene = sceneState({ nodes: [aNode('n1'), aNode('n2')], instances: on, jobs });
    const report = aReport({}, [
      ['web', 128],
      ['db', 128],
    ]);
    const desk = createPlacementDesk({ state: scene, engine: direct_placement, live: () => report });
    const cluster = scene.get('cluster', 'cluster')!;
    // Each fits alone, both do not.
    const memory = Math.floor(0.7 * report.free_memory_mib);
    const answers = on.map((instance, at) => {
      const grown = { ...instance, beparams: { maxmem: memory, minmem: memory } };
      const wanted = wantedInstance(cluster, grown, [], 'running');
      return desk.choose({ type: 'admit', instance: wanted, node: 'u-n1', admission: 'off' }, () => ({
        kind: 'grow',
        job: at + 1,
        op: 0,
        instance: grown,
      }));
    });
    const [first, second] = await Promise.all(answers);
    assert.deepEqual(first!.refused, []);
    assert.match(second!.refused[0]?.text ?? '', /needs \d+ MiB of memory/);
  });

  it('looks for another place from where an instance is, not from where an evacuation will have it go', async () => {
    const web = anInstance('web', 'n1');
    const plan = { node: { uuid: 'u-n1' }, moves: [{ instance: { uuid: 'i-web' }, to: { uuid: 'u-n2' } }] };
    const { job, step } = aPlanning(7, 'OP_NODE_EVACUATE', plan);
    const scene = sceneState({
      nodes: [aNode('n1'), aNode('n2')],
      instances: [web],
      jobs: [job],
      steps: [step],
    });
    const desk = createPlacementDesk({ state: scene, engine: direct_placement, live: () => aReport() });
    const asked = { type: 'relocate', instance: 'i-web', may_stay: false, to: null } as const;
    const { nodes } = await desk.choose(asked, () => null);
    assert.deepEqual(
      nodes?.map(({ name }) => name),
      ['n2'],
    );
  });
});
