/** The evacuation job: what it refuses, its plan, failing moves, cancellation. Leader deaths are in resume.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job, OpInput } from '../../config/model.ts';
import { recordedChoices } from '../choices.ts';
import { createFakeWorld, type FakeWorld, type Hooks, leftovers, node_uuid } from '../fake-world.ts';
import { ended, lead, settle } from '../test-harness.ts';
import { NodeCallError } from '../types.ts';

const evacuate = (extra: Partial<OpInput> = {}): OpInput => ({
  OP_ID: 'OP_NODE_EVACUATE',
  node_name: 'n1',
  mode: 'all',
  ...extra,
});
const [n1, n2, n3] = [1, 2, 3].map(node_uuid) as [string, string, string];
const ownerOf = (world: FakeWorld, name: string) =>
  world.state.list('instances').find((instance) => instance.name === name)?.owner.node;
const on = (world: FakeWorld, node: string) =>
  world.state
    .list('instances')
    .flatMap(({ name, owner }) => (owner.node === node ? [name] : []))
    .sort();
const moves = (world: FakeWorld): readonly Job[] =>
  world.state.list('jobs').filter(({ ops }) => ops[0]?.input.OP_ID === 'OP_INSTANCE_FAILOVER');
const logOf = (world: FakeWorld, job: number) =>
  world.job(job).ops[0]!.log.map(([, , , text]) => String(text));

function begin(extra: Partial<OpInput>, prepare: (world: FakeWorld) => void, hooks: Hooks = {}) {
  const world = createFakeWorld();
  prepare(world);
  const engine = lead(world, 1, hooks);
  const [job] = world.submit([evacuate(extra)]);
  return { world, engine, job: job! };
}

async function outcome(extra: Partial<OpInput>, prepare: (world: FakeWorld) => void) {
  const { world, engine, job } = begin(extra, prepare);
  await settle(world, () => ended(world, job));
  engine.stop();
  const { status, ops } = world.job(job);
  return { world, job, status, result: ops[0]!.result };
}

function message(result: unknown): string {
  return String((result as [string, [string, string]])[1][0]);
}

const web = (world: FakeWorld) => void world.addInstance('web');
const idle = (world: FakeWorld) => void world.addInstance('idle', { up: false });

test('all leave, one job each, what ran runs again and what stood still does so; the node is not drained', async () => {
  const { world, status, result, job } = await outcome({ allow_restart: true }, (w) => {
    web(w);
    idle(w);
    w.addInstance('other', { node: n2, template: 'file' });
  });
  assert.equal(status, 'success', JSON.stringify(result));
  assert.deepEqual(on(world, n1), []);
  const children = moves(world);
  assert.deepEqual(result, { jobs: children.map(({ id }) => [true, id]), moved: 2 });
  assert.ok(children.every(({ status: ended_as }) => ended_as === 'success'));
  assert.deepEqual(
    children.map(({ reason }) => reason[0]?.[1]),
    Array(2).fill(`evacuation ${job} of node n1`),
  );
  assert.ok(world.nodes.get(ownerOf(world, 'web')!)!.guests.has('web'));
  assert.equal([...world.nodes.values()].filter(({ guests }) => guests.has('idle')).length, 0);
  assert.equal(world.state.get('nodes', n1)!.drained, false);
  assert.deepEqual(leftovers(world), []);
});

test('each sees where the others go, and a drained node is left as well', async () => {
  const { world, status } = await outcome({ allow_restart: true }, (w) => {
    w.apply({ type: 'node-set', time: 1, uuid: n1, changes: { drained: true } });
    for (const name of ['a', 'b', 'c', 'd']) w.addInstance(name);
  });
  assert.equal(status, 'success');
  assert.deepEqual([on(world, n2).length, on(world, n3).length], [2, 2]);
});

test('everything goes to the node that was named, by name or uuid', async () => {
  for (const to of [{ remote_node: 'n2' }, { remote_node: 'n3', remote_node_uuid: n2 }]) {
    const { world, status } = await outcome({ allow_restart: true, ...to }, (w) => {
      web(w);
      idle(w);
    });
    assert.equal(status, 'success');
    assert.deepEqual(on(world, n2), ['idle', 'web']);
  }
});

test('what it refuses, it refuses before anything happens', async () => {
  const table: readonly (readonly [string, Partial<OpInput>, (w: FakeWorld) => void, RegExp])[] = [
    ['what runs, without leave', {}, web, /these instances run: web;.*--allow-restart/],
    [
      'local disks',
      { allow_restart: true },
      (w) => {
        web(w);
        w.addInstance('db', { template: 'file', up: false });
      },
      /^Unable to evacuate instances db \(Instances of type file cannot be relocated\)$/,
    ],
    [
      'no room where it is to go',
      { remote_node: 'n2' },
      (w) => {
        const uuid = w.addInstance('idle');
        w.apply({
          type: 'instance-set',
          time: 1,
          uuid,
          if_epoch: null,
          changes: { beparams: { maxmem: 7000 } },
        });
      },
      /^Unable to evacuate instances idle \(n2: needs 7000 MiB of memory, has \d+ MiB free/,
    ],
    [
      'a rule by tags',
      { allow_restart: true },
      (w) => {
        const uuid = w.addInstance('web');
        w.apply({ type: 'tags', time: 1, kind: 'instance', uuid, add: ['skein:node:must:n1'], remove: [] });
      },
      /^Unable to evacuate instances web \(n2: .*; n3: .*\)$/,
    ],
    ['to itself', { remote_node: 'n1' }, idle, /node n1 is the one to be evacuated/],
    [
      'to a drained node',
      { remote_node: 'n2' },
      (w) => {
        idle(w);
        w.apply({ type: 'node-set', time: 1, uuid: n2, changes: { drained: true } });
      },
      /node n2 is drained/,
    ],
    ['to nowhere', { remote_node: 'n9' }, idle, /there is no node "n9"/],
    ['of nothing', { node_name: 'n9' }, idle, /there is no node "n9"/],
  ];
  for (const [what, extra, prepare, text] of table) {
    const { world, status, result } = await outcome(extra, prepare);
    assert.equal(status, 'error', what);
    assert.match(message(result), text, what);
    assert.deepEqual([moves(world).length, world.calls.length], [0, 0], what);
  }
});

test('another allocator is refused by name, the built-in one is not; what else Ganeti sends is taken', async () => {
  const other = createFakeWorld();
  const engine = lead(other, 1);
  const [job] = other.submit([evacuate({ iallocator: 'mine' })]);
  await settle(other, () => ended(other, job!));
  engine.stop();
  assert.match(message(other.job(job!).ops[0]!.result), /iallocator is "mine": expected hail/);
  const ganetis = { early_release: true, ignore_soft_errors: null, iallocator: 'hail', dry_run: false };
  assert.equal((await outcome(ganetis, idle)).status, 'success');
  assert.equal(
    (await outcome({ ...ganetis, iallocator: null, mode: 'primary-only' }, idle)).status,
    'success',
  );
});

test('secondaries: there are none, and it says so', async () => {
  const { world, status, result, job } = await outcome({ mode: 'secondary-only' }, web);
  assert.deepEqual([status, result], ['success', { jobs: [], moved: 0 }]);
  assert.deepEqual(on(world, n1), ['web']);
  assert.match(logOf(world, job).join('\n'), /node n1 has no secondary instances/);
  const empty = await outcome({}, () => undefined);
  assert.deepEqual(empty.result, { jobs: [], moved: 0 });
});

test('it ends at the first move that fails, and says how far it came', async () => {
  const { world, engine, job } = begin(
    { allow_restart: true },
    (w) => {
      for (const name of ['a', 'b', 'c']) w.addInstance(name);
    },
    {
      call: ({ verb, args }) => {
        if (verb === 'instance.start' && args.instance === 'inst-b')
          throw new NodeCallError('failed', 'no room in the cellar');
      },
    },
  );
  await settle(world, () => ended(world, job));
  engine.stop();
  assert.equal(world.job(job).status, 'error');
  assert.match(
    message(world.job(job).ops[0]!.result),
    /^job \d+, moving instance b from n1 to n\d, failed: .*no room in the cellar.*; 1 of 3 instances were moved$/,
  );
  assert.deepEqual(on(world, n1), ['c']);
  assert.equal(moves(world).length, 2);
});

test('canceled, it ends before the next move, and what was moved stays', async () => {
  const { world, engine, job } = begin({ allow_restart: true }, (w) => {
    for (const name of ['a', 'b', 'c']) w.addInstance(name);
  });
  await settle(world, () => moves(world).length === 1);
  world.apply({ type: 'job-cancel', time: 3, job });
  await settle(world, () => ended(world, job));
  engine.stop();
  assert.equal(world.job(job).status, 'canceled');
  assert.deepEqual(on(world, n1), ['b', 'c']);
  assert.deepEqual(
    moves(world).map(({ status }) => status),
    ['success'],
  );
  assert.match(logOf(world, job).join('\n'), /canceled: 1 of 3 instances were moved/);
});

test('what is gone when its turn comes is left out; what was started meanwhile is not stopped', async () => {
  const first = (world: FakeWorld) => {
    for (const name of ['a', 'b']) world.addInstance(name, { up: false });
  };
  const gone = begin({}, first);
  await settle(gone.world, () => moves(gone.world).length === 1);
  const [removal] = gone.world.submit([{ OP_ID: 'OP_INSTANCE_REMOVE', instance_name: 'b' }]);
  await settle(gone.world, () => ended(gone.world, gone.job) && ended(gone.world, removal!));
  gone.engine.stop();
  assert.deepEqual(
    [gone.world.job(gone.job).status, (gone.world.job(gone.job).ops[0]!.result as { moved: number }).moved],
    ['success', 1],
  );

  const started = begin({}, first);
  await settle(started.world, () => moves(started.world).length === 1);
  started.world.submit([{ OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'b' }]);
  await settle(started.world, () => ended(started.world, started.job));
  started.engine.stop();
  assert.match(
    message(started.world.job(started.job).ops[0]!.result),
    /started meanwhile: .*these instances run: b;.*; 1 of 2 instances were moved/,
  );
  assert.deepEqual(on(started.world, n1), ['b']);
});

test('a second one of the same node waits for the first; one job at a time is enough for both', async () => {
  const { world, engine, job } = begin({}, (w) => {
    idle(w);
    w.apply({ type: 'cluster-set', time: 1, changes: { max_running_jobs: 1 } });
  });
  const [second] = world.submit([evacuate()]);
  await settle(world, () => ended(world, second!));
  engine.stop();
  assert.deepEqual([world.job(job).status, world.job(second!).status], ['success', 'success']);
  assert.deepEqual(world.job(second!).ops[0]!.result, { jobs: [], moved: 0 });
});

test('while it is under way its plan counts as chosen, for each instance until that has gone', async () => {
  const { world, engine, job } = begin({ remote_node: 'n2' }, (w) => {
    for (const name of ['a', 'b']) w.addInstance(name, { up: false });
  });
  const seen: string[] = [];
  world.onApplied(() => {
    const chosen = recordedChoices(world.state)
      .flatMap((choice) => (choice.kind === 'move' && choice.job === job ? [choice.instance] : []))
      .sort()
      .join(' ');
    if (seen.at(-1) !== chosen) seen.push(chosen);
  });
  await settle(world, () => ended(world, job));
  engine.stop();
  assert.deepEqual(seen, ['', 'inst-a inst-b', 'inst-b', '']);
});
