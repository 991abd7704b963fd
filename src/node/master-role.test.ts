import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MasterIpParams } from '../drivers/types.ts';
import { createMasterRole } from './master-role.ts';
import { createTestEnv } from './test-env.ts';

const ip: MasterIpParams = { netdev: 'eth0', ip: '192.0.2.1', netmask: 32, family: 4, script: '' };

function createRig() {
  const env = createTestEnv();
  const acts: string[] = [];
  const rig = {
    env,
    acts,
    /** Leads for so long from now on; null: not. */
    leads_ms: null as number | null,
    params: ip as MasterIpParams | null,
    start: (_signal?: AbortSignal) => Promise.resolve(),
    stop: () => Promise.resolve(),
    keeper: () => Promise.resolve(),
  };
  const role = createMasterRole({
    env,
    driver: {
      start: (params, signal) => {
        acts.push(`start ${params.ip}`);
        return rig.start(signal);
      },
      stop: (params) => {
        acts.push(`stop ${params.ip}`);
        return rig.stop();
      },
      holds: async () => false,
    },
    setMaster: (deadline_ms, params) => {
      acts.push(params ? `keeper +${deadline_ms - env.now_ms()}` : 'keeper 0');
      return rig.keeper();
    },
    extendMaster: (deadline_ms) => {
      acts.push(`extend +${deadline_ms - env.now_ms()}`);
    },
    deadline: () => (rig.leads_ms === null ? null : env.now_ms() + rig.leads_ms),
    params: () => rig.params,
    onChange: (held) => acts.push(held ? 'held' : 'let go'),
  });
  const without = (prefix: string) => acts.filter((act) => !act.startsWith(prefix));
  return Object.assign(rig, { role, without });
}

test('only who leads takes the address, after the keeper knows the deadline; losing the lead takes it down', async () => {
  const rig = createRig();
  rig.role.wake();
  await rig.env.advance(1_000);
  assert.deepEqual(rig.acts, []);
  rig.leads_ms = 2_000;
  rig.role.wake();
  await rig.env.advance(0);
  assert.deepEqual(rig.acts, ['keeper +2000', 'start 192.0.2.1', 'held']);
  await rig.env.advance(500);
  assert.deepEqual(rig.acts.slice(3), ['extend +2000', 'extend +2000'], 'extended');
  rig.leads_ms = null;
  rig.role.wake();
  await rig.env.advance(0);
  assert.deepEqual(rig.acts.slice(5), ['let go', 'stop 192.0.2.1', 'keeper 0']);
  assert.equal(rig.role.held(), false);
  await rig.role.close();
});

test('no deadline is extended when no quorum round extends it', async () => {
  const rig = createRig();
  rig.leads_ms = 2_000;
  await rig.env.advance(300);
  rig.leads_ms = null;
  rig.acts.length = 0;
  await rig.env.advance(3_000);
  assert.deepEqual(rig.acts, ['let go', 'stop 192.0.2.1', 'keeper 0']);
  await rig.role.close();
});

test('the lead lost while start hangs: the script is ended and the address taken down at once', async () => {
  const rig = createRig();
  rig.start = (signal) =>
    new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('ended')));
    });
  rig.leads_ms = 2_000;
  rig.role.wake();
  await rig.env.advance(0);
  rig.acts.length = 0;
  rig.role.wake();
  await rig.env.advance(0);
  assert.deepEqual(rig.acts, [], 'as long as it leads the script has its time');
  rig.leads_ms = null;
  rig.role.wake();
  await rig.env.advance(0);
  assert.deepEqual(rig.acts, ['stop 192.0.2.1', 'keeper 0']);
  assert.equal(rig.role.trouble(), '', 'it is no fault of the script');
  rig.start = () => Promise.resolve();
  rig.leads_ms = 2_000;
  rig.role.wake();
  await rig.env.advance(0);
  assert.ok(rig.role.held(), 'and nothing delays the next time');
  await rig.role.close();
});

test('the lead lost while start runs: stopped as soon as it is over', async () => {
  const rig = createRig();
  const gate = Promise.withResolvers<void>();
  rig.start = () => gate.promise;
  rig.leads_ms = 2_000;
  rig.role.wake();
  await rig.env.advance(0);
  rig.leads_ms = null;
  rig.role.wake();
  gate.resolve();
  await rig.env.advance(0);
  assert.equal(rig.acts.at(-2), 'stop 192.0.2.1');
  assert.equal(rig.role.held(), false);
  await rig.role.close();
});

test('the keeper dropped it while start ran: nobody knows which came last, so it is stopped', async () => {
  for (const leads_ms of [null, 2_000]) {
    const rig = createRig();
    const gate = Promise.withResolvers<void>();
    rig.start = () => gate.promise;
    rig.leads_ms = 2_000;
    rig.role.wake();
    await rig.env.advance(0);
    rig.leads_ms = leads_ms;
    rig.role.dropped();
    rig.start = () => Promise.resolve();
    gate.resolve();
    await rig.env.advance(0);
    const scripts = rig.without('keeper');
    assert.deepEqual(scripts.slice(0, 2), ['start 192.0.2.1', 'stop 192.0.2.1']);
    assert.deepEqual(scripts.slice(2), leads_ms === null ? [] : ['start 192.0.2.1', 'held']);
    await rig.role.close();
  }
});

test('a stop that fails keeps the address away until one succeeds, and is not hidden', async () => {
  const rig = createRig();
  rig.leads_ms = 2_000;
  await rig.env.advance(300);
  rig.stop = () => Promise.reject(new Error('exit 1'));
  rig.leads_ms = null;
  rig.role.wake();
  await rig.env.advance(0);
  rig.leads_ms = 2_000;
  rig.acts.length = 0;
  await rig.env.advance(3_000);
  assert.ok(!rig.acts.some((act) => act.startsWith('start')));
  assert.match(rig.role.trouble(), /stop script failed.*exit 1/);
  rig.stop = () => Promise.resolve();
  await rig.env.advance(3_000);
  assert.equal(rig.role.held(), true);
  assert.equal(rig.role.trouble(), '');
  await rig.role.close();
});

test('a start that fails is taken back, tried again, and stays in sight', async () => {
  const rig = createRig();
  rig.start = () => Promise.reject(new Error('no such device'));
  rig.leads_ms = 2_000;
  rig.role.wake();
  await rig.env.advance(0);
  assert.deepEqual(rig.without('keeper'), ['start 192.0.2.1', 'stop 192.0.2.1']);
  assert.match(rig.role.trouble(), /start script failed.*no such device/);
  assert.equal(rig.role.held(), false);
  rig.start = () => Promise.resolve();
  await rig.env.advance(2_000);
  assert.deepEqual([rig.role.held(), rig.role.trouble()], [true, '']);
  await rig.role.close();
});

test('a keeper that took longer than its deadline is told a new one before the start', async () => {
  const rig = createRig();
  const gate = Promise.withResolvers<void>();
  rig.keeper = () => gate.promise;
  rig.leads_ms = 2_000;
  rig.role.wake();
  await rig.env.advance(3_000);
  rig.keeper = () => Promise.resolve();
  gate.resolve();
  await rig.env.advance(0);
  assert.deepEqual(rig.acts, ['keeper +2000', 'keeper +2000', 'start 192.0.2.1', 'held']);
  await rig.role.close();
});

test('a new address replaces the old one; closing takes it down, and a failed stop is left to the keeper', async () => {
  const rig = createRig();
  rig.leads_ms = 2_000;
  await rig.env.advance(300);
  rig.params = { ...ip, ip: '192.0.2.9' };
  rig.acts.length = 0;
  await rig.env.advance(100);
  rig.role.wake();
  await rig.env.advance(0);
  assert.deepEqual(rig.without('keeper'), ['let go', 'stop 192.0.2.1', 'start 192.0.2.9', 'held']);
  rig.stop = () => Promise.reject(new Error('exit 1'));
  rig.acts.length = 0;
  await rig.role.close();
  assert.deepEqual(rig.acts, ['let go', 'stop 192.0.2.9']);
});
