import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpInput } from '../config/model.ts';
import { createJobEngine, repair_slots } from './engine.ts';
import { createFakeWorld, leftovers, node_uuid } from './fake-world.ts';
import { opcodes } from './opcodes/registry.ts';
import { ended, lead, settle } from './test-harness.ts';
import { NodeCallError } from './types.ts';

const create: OpInput = {
  OP_ID: 'OP_INSTANCE_CREATE',
  instance_name: 'web',
  mode: 'create',
  disk_template: 'sharedfile',
  os_type: 'noop',
  disks: [{ size: 128 }, { size: '1g' }],
  nics: [{}],
  pnode: 'n2',
}; // prettier-ignore

test('a no-op job costs two commits after its submission; a hundred run at once', async () => {
  const world = createFakeWorld();
  const engine = lead(world, 1);
  const op: OpInput = { OP_ID: 'OP_TEST_DELAY', duration: 0 };
  const [one] = world.submit([op]);
  await settle(world, () => ended(world, one!));
  assert.equal(world.proposals.length, 2);
  const ids = world.submit(...Array.from({ length: 100 }, () => [op]));
  await settle(world, () => ids.every((id) => ended(world, id)), 0);
  assert.equal(world.proposals.length, 202);
  assert.ok(ids.every((id) => world.job(id).status === 'success'));
  engine.stop();
});

test('at most max_running_jobs run, urgent ones start first, then by id; why says what is waited for', async () => {
  const world = createFakeWorld();
  world.apply({ type: 'cluster-set', time: 1, changes: { max_running_jobs: 1 } });
  const delay: OpInput = { OP_ID: 'OP_TEST_DELAY', duration: 0, on_nodes: ['n1'], no_locks: false };
  const low = world.submitWith({ priority: 10 }, delay);
  const normal = world.submitWith({}, delay);
  const high = world.submitWith({ priority: -10 }, delay);
  const later = world.submitWith({ depends: [{ job: low, states: ['success'] }] }, delay);
  const order: number[] = [];
  let release: () => void = () => undefined;
  const hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  const engine = lead(world, 1, {
    call: (call) => {
      order.push(call.key.job);
      return hold;
    },
  });
  await settle(world, () => order.length === 1);
  assert.match(engine.why(normal) ?? '', new RegExp(`node/${node_uuid(1)} \\(job ${high}\\)`));
  assert.equal(engine.why(later), `waits for job ${low} to end`);
  assert.equal(engine.why(high), null);
  release();
  await settle(world, () => ended(world, later));
  assert.deepEqual(order, [high, normal, low, later]);
  engine.stop();
});

test('repairs run although max_running_jobs others do, a bounded number of them', async () => {
  const world = createFakeWorld();
  world.apply({ type: 'cluster-set', time: 1, changes: { max_running_jobs: 1 } });
  for (let n = 0; n < repair_slots + 2; n++) world.addInstance(`web${n}`, { up: false });
  const busy = world.submitWith({ priority: -20 }, { OP_ID: 'OP_TEST_DELAY', duration: 0, on_nodes: ['n1'] });
  const waiting = world.submitWith(
    { priority: -20 },
    { OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'web0' },
  );
  const repairs = Array.from({ length: repair_slots + 1 }, (_, n) =>
    world.submitWith(
      { priority: -10 },
      { OP_ID: 'OP_INSTANCE_STARTUP', instance_name: `web${n}`, skein_repair: true },
    ),
  );
  const seen: number[] = [];
  let release: () => void = () => undefined;
  const hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  const engine = lead(world, 1, {
    call: (call) => {
      seen.push(call.key.job);
      return hold;
    },
  });
  await settle(world, () => seen.length > repair_slots);
  assert.deepEqual([...new Set(seen)].sort(), [busy, ...repairs.slice(0, repair_slots)].sort());
  release();
  await settle(world, () => [waiting, ...repairs].every((id) => ended(world, id)));
  engine.stop();
});

test('an unmet dependency and bad parameters end a job as error, and nothing is done', async () => {
  const world = createFakeWorld();
  const bad = world.submitWith(
    {},
    { OP_ID: 'OP_TEST_DELAY', duration: 0 },
    { OP_ID: 'OP_TEST_DELAY', duration: -1 },
  );
  const follow = world.submitWith(
    { depends: [{ job: bad, states: ['success'] }] },
    { OP_ID: 'OP_TEST_DELAY', duration: 0 },
  );
  const unknown = world.submitWith({}, { OP_ID: 'OP_NO_SUCH' });
  const engine = lead(world, 1);
  await settle(world, () => [bad, follow, unknown].every((id) => ended(world, id)));
  const resultOf = (id: number) => JSON.stringify(world.job(id).ops[0]!.result);
  assert.deepEqual(
    [bad, follow, unknown].map((id) => world.job(id).status),
    ['error', 'error', 'error'],
  );
  assert.match(resultOf(bad), /operation 2: OP_TEST_DELAY: parameter duration is -1: expected a number/);
  assert.match(resultOf(follow), /depends on job 1 ending as success; it ended as error/);
  assert.match(resultOf(unknown), /OP_NO_SUCH/);
  assert.deepEqual(leftovers(world), []);
  engine.stop();
});

test('an outcome that stays unknown under the same leader is found out, and the job goes on', async () => {
  const world = createFakeWorld();
  let lost = 0;
  const engine = lead(world, 1, {
    proposal: (_command, count) => (count === 3 && lost++ === 0 ? 'apply-then-lose' : 'apply'),
  });
  const [id] = world.submit([create]);
  await settle(world, () => ended(world, id!));
  assert.equal(lost, 1);
  assert.equal(world.job(id!).status, 'success');
  assert.deepEqual(leftovers(world), []);
  engine.stop();
});

test('a replay by another version of an opcode, or of other steps, fails loudly and is undone', async () => {
  const world = createFakeWorld();
  let dead = false;
  const first = lead(world, 1, {
    call: (call) => {
      if (call.verb !== 'os.create') return;
      dead = true;
      first.stop();
    },
  });
  const [id] = world.submit([create]);
  await settle(world, () => dead);
  const changed = new Map(opcodes);
  changed.set(create.OP_ID, { ...opcodes.get(create.OP_ID)!, version: 2 });
  const second = createJobEngine(world.ports(), changed);
  second.start(2);
  await settle(world, () => ended(world, id!));
  assert.match(
    JSON.stringify(world.job(id!).ops[0]!.result),
    /begun by version 1 of its code; this is version 2/,
  );
  assert.deepEqual(leftovers(world), []);
  second.stop();

  const other = createFakeWorld();
  dead = false;
  const begun = lead(other, 1, {
    call: (call) => {
      if (call.verb !== 'os.create') return;
      dead = true;
      begun.stop();
    },
  });
  const [other_id] = other.submit([create]);
  await settle(other, () => dead);
  const swapped = new Map(opcodes);
  swapped.set(create.OP_ID, {
    ...opcodes.get(create.OP_ID)!,
    run: async (ctx) => ctx.learn('something else', () => 1),
  });
  const third = createJobEngine(other.ports(), swapped);
  third.start(2);
  await settle(other, () => ended(other, other_id!));
  assert.match(
    JSON.stringify(other.job(other_id!).ops[0]!.result),
    /asks for learn .*something else.* but the log has learn .*plan/,
  );
  assert.deepEqual(leftovers(other), []);
  third.stop();
});

test('a new leader gives a running job its locks back before anybody else gets any', async () => {
  const world = createFakeWorld();
  world.addInstance('web');
  const cut = world.submitWith({ priority: 10 }, { OP_ID: 'OP_INSTANCE_SHUTDOWN', instance_name: 'web' });
  let dead = false;
  const first = lead(world, 1, {
    call: () => {
      dead = true;
      first.stop();
    },
  });
  await settle(world, () => dead);
  const urgent = world.submitWith({ priority: -10 }, { OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'web' });
  const order: number[] = [];
  const second = lead(world, 2, {
    call: (call) => {
      order.push(call.key.job);
    },
  });
  assert.match(second.why(urgent) ?? '', new RegExp(`instance/web \\(job ${cut}\\)`));
  await settle(world, () => ended(world, urgent));
  assert.deepEqual(order, [cut, urgent]);
  assert.deepEqual(leftovers(world), []);
  second.stop();
});

test('undo goes backwards, with the steps that failed', async () => {
  const world = createFakeWorld();
  const engine = lead(world, 1, {
    call: (call) => {
      if (call.verb === 'instance.start') throw new NodeCallError('failed', 'no such kernel');
    },
  });
  const [id] = world.submit([create]);
  await settle(world, () => ended(world, id!));
  const undone = world.calls.filter((call) => call.key.undo);
  assert.deepEqual(
    undone.map((call) => call.verb),
    ['instance.cleanup', 'disk.remove', 'disk.remove'],
  );
  const disks = undone.slice(1).map((call) => (call.args.disk as { index: number }).index);
  assert.deepEqual(disks, [1, 0]);
  assert.equal(world.state.count('instances'), 0);
  engine.stop();
});

test('undo on a lost node is skipped with a warning in the log of the op, and the job ends', async () => {
  const world = createFakeWorld();
  const engine = lead(world, 1, {
    call: (call) => {
      if (call.verb === 'os.create') world.evidence.set(node_uuid(2), { kind: 'power', text: 'off' });
    },
  });
  const [id] = world.submit([{ ...create, disk_template: 'file' }]);
  await settle(world, () => ended(world, id!));
  assert.equal(world.job(id!).status, 'error');
  assert.match(JSON.stringify(world.job(id!).ops[0]!.log), /create-disk-0.*was not undone: node n2 is lost/);
  assert.equal(world.state.count('instances'), 0);
  assert.equal(world.state.count('steps'), 0);
  engine.stop();
});
