/** The maintenance job: order, brake, hold, cancellation. Leader deaths are in resume.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpInput } from '../../config/model.ts';
import { createFakeWorld, type FakeWorld, type Hooks, node_uuid } from '../fake-world.ts';
import { ended, lead, settle } from '../test-harness.ts';
import { NodeCallError } from '../types.ts';

const hold = (world: FakeWorld, job: number) => world.job(job).hold;
const run = (extra: Partial<OpInput> = {}): OpInput => ({ OP_ID: 'OP_MAINTENANCE_RUN', ...extra });
const guests = (world: FakeWorld) => [...world.nodes].map(([, node]) => [...node.guests.keys()].sort());
const release = (world: FakeWorld, job: number) => world.apply({ type: 'job-hold', time: 9, job, why: null });

function begin(extra: Partial<OpInput> = {}, hooks: Hooks = {}, prepare?: (world: FakeWorld) => void) {
  const world = createFakeWorld();
  world.addInstance('web', { template: 'sharedfile' });
  prepare?.(world);
  const engine = lead(world, 1, hooks);
  const [job] = world.submit([run(extra)]);
  return { world, engine, job: job! };
}

test('every node is rebooted, one after the other, and what ran is where it was', async () => {
  const { world, engine, job } = begin();
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'success', JSON.stringify(world.job(job).ops[0]!.result));
  const reboots = world.calls.filter(({ verb }) => verb === 'node.reboot').map(({ node }) => node);
  assert.deepEqual(reboots, [node_uuid(1), node_uuid(2), node_uuid(3)]);
  assert.deepEqual(guests(world), [['web'], [], []]);
  const stop = world.calls.findIndex(({ verb }) => verb === 'instance.stop');
  const reboot = world.calls.findIndex(({ verb }) => verb === 'node.reboot');
  assert.ok(stop >= 0 && stop < reboot, 'the instance had left before its node went down');
  assert.ok(world.state.list('nodes').every((node) => !node.drained && node.boot === 2));
  engine.stop();
});

test('a step that fails has it wait for a person, and is tried again when let go', async () => {
  let broken = true;
  const { world, engine, job } = begin(
    { nodes: ['n1'] },
    {
      call: ({ verb }) => {
        if (verb === 'instance.start' && broken) throw new NodeCallError('failed', 'no room in the cellar');
      },
    },
  );
  await settle(world, () => hold(world, job) !== undefined);
  assert.match(
    hold(world, job)!,
    /failover of instance web from n1 to n2 failed \(job \d+\): .*no room in the cellar/,
  );
  assert.ok(!world.calls.some(({ verb }) => verb === 'node.reboot'));
  broken = false;
  release(world, job);
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'success', JSON.stringify(world.job(job).ops[0]!.result));
  assert.equal(hold(world, job), undefined);
  assert.deepEqual(guests(world), [['web'], [], []]);
  engine.stop();
});

test('held, it goes no further until it is let go', async () => {
  const { world, engine, job } = begin({ nodes: ['n1'] });
  world.apply({ type: 'job-hold', time: 2, job, why: 'lunch' });
  let passed = 0;
  await settle(world, () => ++passed > 400);
  assert.ok(!world.calls.some(({ verb }) => verb === 'instance.stop' || verb === 'node.reboot'));
  release(world, job);
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'success');
  engine.stop();
});

test('a node that does not come back is a reason to wait', async () => {
  const { world, engine, job } = begin({ reboot_timeout: 60 }, {}, (w) => w.stuck.add(node_uuid(1)));
  await settle(world, () => hold(world, job) !== undefined);
  assert.equal(hold(world, job), 'n1 did not come back within 60 s');
  assert.equal(world.calls.filter(({ verb }) => verb === 'node.reboot').length, 1);
  world.stuck.delete(node_uuid(1));
  world.apply({ type: 'node-boot', time: 9, uuid: node_uuid(1), boot: 2 });
  release(world, job);
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'success');
  engine.stop();
});

test('it does not begin while a node is not well', async () => {
  const { world, engine, job } = begin({ nodes: ['n1'] }, {}, (w) => w.silent.add(node_uuid(3)));
  await settle(world, () => hold(world, job) !== undefined);
  assert.equal(hold(world, job), 'nothing is heard of node n3');
  assert.ok(!world.state.get('nodes', node_uuid(1))!.drained);
  engine.stop();
});

test('canceled while it waits before the reboot, it puts back what it changed', async () => {
  const { world, engine, job } = begin(
    { nodes: ['n1'] },
    { call: ({ verb }) => void (verb === 'node.reboot' && assert.fail('rebooted all the same')) },
    (w) => w.addInstance('db', { template: 'file' }),
  );
  await settle(world, () => guests(world)[1]!.length === 1);
  world.apply({ type: 'job-cancel', time: 3, job });
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'canceled');
  assert.deepEqual(guests(world), [['db', 'web'], [], []]);
  assert.equal(world.state.get('nodes', node_uuid(1))!.drained, false);
  engine.stop();
});

test('a node that was drained before stays drained', async () => {
  const { world, engine, job } = begin({ nodes: ['n3'] }, {}, (w) =>
    w.apply({ type: 'node-set', time: 1, uuid: node_uuid(3), changes: { drained: true } }),
  );
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'success');
  const { boot, drained } = world.state.get('nodes', node_uuid(3))!;
  assert.deepEqual([boot, drained], [2, true]);
  engine.stop();
});

test('a second one is refused', async () => {
  const { world, engine, job } = begin({ nodes: ['n1'] });
  const [second] = world.submit([run({ nodes: ['n2'] })]);
  await settle(world, () => ended(world, second!));
  assert.match(
    JSON.stringify(world.job(second!).ops[0]!.result),
    new RegExp(`job ${job} is a maintenance already`),
  );
  await settle(world, () => ended(world, job));
  engine.stop();
});

test('with one job at a time its own jobs run all the same', async () => {
  const { world, engine, job } = begin({ nodes: ['n1'] }, {}, (w) =>
    w.apply({ type: 'cluster-set', time: 1, changes: { max_running_jobs: 1 } }),
  );
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'success');
  engine.stop();
});

test('by an out-of-band program another node is asked; without one it waits and says what to do', async () => {
  const { world, engine, job } = begin({ nodes: ['n1'], reboot_by: 'oob' });
  await settle(world, () => hold(world, job) !== undefined);
  assert.match(hold(world, job)!, /node n1 has no out-of-band program: skein node modify n1/);
  world.apply({
    type: 'node-set',
    time: 1,
    uuid: node_uuid(1),
    changes: { ndparams: { oob_program: '/usr/local/bin/ipmi' } },
  });
  release(world, job);
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'success');
  const call = world.calls.find(({ verb }) => verb === 'node.power-cycle')!;
  assert.notEqual(call.node, node_uuid(1));
  assert.deepEqual(call.args, { program: '/usr/local/bin/ipmi', node: node_uuid(1), boot: 1 });
  engine.stop();
});

test('canceled when a failover has failed half-way, the instance runs where it ran', async () => {
  const { world, engine, job } = begin(
    { nodes: ['n1'] },
    {
      call: ({ verb, node }) => {
        if (verb === 'instance.start' && node === node_uuid(2)) throw new NodeCallError('failed', 'no room');
      },
    },
  );
  await settle(world, () => hold(world, job) !== undefined);
  world.apply({ type: 'job-cancel', time: 3, job });
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'canceled');
  assert.deepEqual(guests(world), [['web'], [], []]);
  engine.stop();
});

test('what its owner has stopped is let be', async () => {
  const { world, engine, job } = begin({ nodes: ['n1'] }, {}, (w) => {
    w.addInstance('db', { template: 'file' });
  });
  world.apply({ type: 'job-hold', time: 2, job, why: 'first' });
  await settle(
    world,
    () => world.state.get('nodes', node_uuid(1))!.drained || hold(world, job) !== undefined,
  );
  const [stopped] = world.submit([{ OP_ID: 'OP_INSTANCE_SHUTDOWN', instance_name: 'db' }]);
  await settle(world, () => ended(world, stopped!));
  release(world, job);
  await settle(world, () => ended(world, job));
  assert.equal(world.job(job).status, 'success');
  assert.deepEqual(guests(world), [['web'], [], []]);
  engine.stop();
});
