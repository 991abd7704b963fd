/** Starting what was down: whether its node has room for it, beside what is on its way there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeWorld, type FakeWorld, node_uuid } from './fake-world.ts';
import { ended, lead, settle } from './test-harness.ts';

async function run(world: FakeWorld, op: { OP_ID: string; [name: string]: unknown }) {
  const [id] = world.submit([op]);
  await settle(world, () => ended(world, id!));
  const { status, ops } = world.job(id!);
  return { status, result: JSON.stringify(ops[0]!.result) };
}

const sized = (instance_name: string, memory: number) => ({
  OP_ID: 'OP_INSTANCE_SET_PARAMS',
  instance_name,
  beparams: { memory },
});
const start = (instance_name: string) => ({ OP_ID: 'OP_INSTANCE_STARTUP', instance_name });

test('more than its node has free: refused before anything, and it stays down', async () => {
  const world = createFakeWorld();
  world.addInstance('web', { up: false });
  lead(world, 2);
  assert.equal((await run(world, sized('web', 5_000))).status, 'success');
  const { status, result } = await run(world, start('web'));
  assert.equal(status, 'error');
  assert.match(
    result,
    /instance web has no room where it is: n1: needs 5000 MiB of memory, has 4096 MiB free/,
  );
  assert.equal(world.state.list('instances')[0]!.admin_state, 'down');
  assert.equal((await run(world, sized('web', 4_000))).status, 'success');
  assert.equal((await run(world, start('web'))).status, 'success');
});

test('room that a failover under way has chosen is not given to a start', async () => {
  const world = createFakeWorld();
  world.addInstance('db');
  world.addInstance('web', { node: node_uuid(2), up: false });
  let release = (): void => undefined;
  const stopped = new Promise<void>((resolve) => {
    release = resolve;
  });
  let stopping = false;
  lead(world, 2, {
    call: ({ verb }) => {
      if (verb !== 'instance.stop') return;
      stopping = true;
      return stopped;
    },
  });
  for (const name of ['db', 'web']) assert.equal((await run(world, sized(name, 3_000))).status, 'success');
  const [failover] = world.submit([
    { OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: 'db', target_node: 'n2' },
  ]);
  await settle(world, () => stopping);
  const refused = await run(world, start('web'));
  assert.equal(refused.status, 'error');
  assert.match(refused.result, /web has no room where it is/);
  release();
  await settle(world, () => ended(world, failover!));
  assert.equal(world.job(failover!).status, 'success');
});
