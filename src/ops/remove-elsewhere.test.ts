/** A create whose node is lost midway: its disks on shared storage are removed by another node, or a warning says why not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpInput } from '../config/model.ts';
import { createFakeWorld, type FakeWorld, type Hooks, leftovers, node_uuid } from './fake-world.ts';
import { ended, lead, settle } from './test-harness.ts';
import { type JobEngine, NodeCallError } from './types.ts';

const lost = node_uuid(2);
const create = (disk_template: string): OpInput => ({
  OP_ID: 'OP_INSTANCE_CREATE',
  instance_name: 'web',
  mode: 'create',
  disk_template,
  os_type: 'noop',
  disks: [{ size: 128 }, { size: 128 }],
  nics: [],
  pnode: 'n2',
});

/** n2 is lost once it has made the second disk: the answer does not arrive. */
const loseWhileMaking =
  (world: FakeWorld): NonNullable<Hooks['call']> =>
  ({ node, verb, args }) => {
    const disks = world.nodes.get(lost)!.disks;
    if (node !== lost || verb !== 'disk.create' || disks.size === 0) return;
    disks.add(String(args.disk));
    world.evidence.set(lost, { kind: 'horizon', text: 'silent for T' });
  };

interface Ran {
  readonly world: FakeWorld;
  readonly warnings: readonly string[];
  /** Nodes that were asked to remove a disk instead of n2, in order. */
  readonly asked: readonly string[];
}

async function run(
  template: string,
  prepare: (world: FakeWorld) => void,
  call: Hooks['call'] = () => undefined,
): Promise<Ran> {
  const world = createFakeWorld();
  prepare(world);
  const lose = loseWhileMaking(world);
  const engine = lead(world, 1, {
    call: (seen, count) => {
      lose(seen, count);
      return call(seen, count);
    },
  });
  const [id] = world.submit([create(template)]);
  await settle(world, () => ended(world, id!));
  engine.stop();
  const op = world.job(id!).ops[0]!;
  assert.equal(world.job(id!).status, 'error');
  assert.match(JSON.stringify(op.result), /n2 was lost/);
  assert.deepEqual(leftovers(world), []);
  const warnings = op.log.filter(([, , kind]) => kind === 'warning').map(([, , , text]) => String(text));
  const removals = world.calls.filter((seen) => seen.verb === 'disk.remove' && seen.node !== lost);
  return { world, warnings, asked: removals.map((seen) => seen.node) };
}

const none = () => undefined;

test('disks on shared storage are removed by another node when theirs is lost', async () => {
  const { world, warnings, asked } = await run('sharedfile', none);
  assert.deepEqual([...world.nodes.get(lost)!.disks], []);
  assert.deepEqual(warnings, []);
  assert.deepEqual(asked, [node_uuid(1), node_uuid(1)]);
});

test('disks that only their node reaches are left to it, with a warning', async () => {
  const { world, warnings, asked } = await run('file', none);
  assert.equal(world.nodes.get(lost)!.disks.size, 2);
  assert.deepEqual(asked, []);
  assert.deepEqual(warnings, [
    '"create-disk-1" was not undone: node n2 is lost; disk.remove was not done there',
    '"create-disk-0" was not undone: node n2 is lost; disk.remove was not done there',
  ]);
});

test('a node that is silent, lost, not well, offline or not vm_capable is not asked', async () => {
  const n1 = node_uuid(1);
  const set = (changes: Record<string, boolean>) => (world: FakeWorld) =>
    void world.apply({ type: 'node-set', time: 1, uuid: n1, changes });
  const cases: readonly (readonly [string, (world: FakeWorld) => void])[] = [
    ['silent', (world) => world.silent.add(n1)],
    ['lost', (world) => world.evidence.set(n1, { kind: 'horizon', text: 'silent for T' })],
    [
      'not well',
      (world) =>
        world.apply({ type: 'node-health', time: 1, uuid: n1, health: 'returning', reason: '', if_boot: 1 }),
    ],
    ['offline', set({ offline: true })],
    ['not vm_capable', set({ vm_capable: false })],
  ]; // prettier-ignore
  for (const [context, prepare] of cases) {
    const { warnings, asked } = await run('sharedfile', prepare);
    assert.deepEqual(asked, [node_uuid(3), node_uuid(3)], context);
    assert.deepEqual(warnings, [], context);
  }
});

test('a node of which nothing was heard yet is waited for; one that stays silent is not', async () => {
  const silence = (world: FakeWorld) => {
    world.silent.add(node_uuid(1));
    world.silent.add(node_uuid(3));
  };
  const silent = await run('sharedfile', silence);
  assert.deepEqual(silent.asked, []);
  assert.match(
    silent.warnings[0]!,
    /n2 is lost; disk\.remove was not done there, nor elsewhere: no other node of its group is well$/,
  );

  const heard = await run('sharedfile', (world) => {
    silence(world);
    const { after } = world.ports();
    world.onApplied(() => {
      if (world.proposals.some((each) => each.type === 'step-end' && each.begin?.verb === 'rollback'))
        after(1_000, () => world.silent.delete(node_uuid(3)));
    });
  });
  assert.deepEqual(heard.asked, [node_uuid(3), node_uuid(3)]);
  assert.deepEqual(heard.warnings, []);
});

test('when the other node is lost too or fails, the next is asked; when all do, a warning says why', async () => {
  const fail: Hooks['call'] = ({ node, verb }) => {
    if (node === lost || verb !== 'disk.remove') return;
    throw new NodeCallError(node === node_uuid(1) ? 'node-lost' : 'failed', `${node} cannot`);
  };
  const once: Hooks['call'] = (seen, count) => {
    if (seen.node === node_uuid(1)) fail(seen, count);
  };
  const second = await run('sharedfile', none, once);
  assert.deepEqual(second.world.nodes.get(lost)!.disks.size, 0);
  assert.deepEqual(second.warnings, []);

  const neither = await run('sharedfile', none, fail);
  assert.equal(neither.world.nodes.get(lost)!.disks.size, 2);
  assert.deepEqual(neither.warnings, [
    '"create-disk-1" was not undone: node n2 is lost; disk.remove was not done there, nor elsewhere: node n3: node-3 cannot',
    '"create-disk-0" was not undone: node n2 is lost; disk.remove was not done there, nor elsewhere: node n3: node-3 cannot',
  ]);
});

test('any leader goes on with it, wherever the one before it died', async () => {
  const whole = await run('sharedfile', none);
  const cuts = [
    ...whole.world.proposals.flatMap((_, at) => [
      { at, fate: 'lose' as const },
      { at, fate: 'apply-then-lose' as const },
    ]),
    ...whole.world.calls.map((_, at) => ({ at, fate: 'call' as const })),
  ];
  for (const { at, fate } of cuts) {
    const context = `${fate} at ${at}`;
    const world = createFakeWorld();
    const lose = loseWhileMaking(world);
    let dead = false;
    let first: JobEngine | null = null;
    first = lead(world, 1, {
      proposal: (_command, count) => {
        if (fate === 'call' || count < at) return 'apply';
        dead = true;
        return fate;
      },
      call: (seen, count) => {
        lose(seen, count);
        if (fate !== 'call' || count !== at) return;
        dead = true;
        first!.stop();
      },
    });
    const [id] = world.submit([create('sharedfile')]);
    await settle(world, () => dead);
    first.stop();
    const second = lead(world, 2, { call: lose });
    await settle(world, () => ended(world, id!));
    second.stop();
    assert.equal(world.job(id!).status, 'error', context);
    assert.deepEqual([...world.nodes.get(lost)!.disks], [], context);
    assert.deepEqual(leftovers(world), [], context);
    const removed = world.calls.filter((seen) => seen.verb === 'disk.remove' && seen.node !== lost);
    const steps = new Set(removed.map((seen) => seen.key.step));
    const disks = new Set(removed.map((seen) => JSON.stringify(seen.args.disk)));
    assert.equal(steps.size, disks.size, `${context}: a step is begun once for each disk`);
  }
});
