import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MasterIpParams } from '../../drivers/types.ts';
import { until } from './keeper-harness.ts';
import { MasterGuard } from './master-guard.ts';

const address: MasterIpParams = { netdev: 'eth0', ip: '192.0.2.1', netmask: 24, family: 4, script: '' };

function after(delay_ms: number, fn: () => void): () => void {
  const timer = setTimeout(fn, delay_ms);
  return () => clearTimeout(timer);
}

function setUp(
  held: MasterIpParams | null,
  stop: () => Promise<void> = async () => undefined,
  holds: () => Promise<boolean> = async () => false,
) {
  const seen: string[] = [];
  const clock = { now_ms: 1000 };
  const guard = new MasterGuard(
    {
      now_ms: () => clock.now_ms,
      after,
      driver: async () => ({
        stop: () => {
          seen.push('stop');
          return stop();
        },
        holds,
      }),
      persist: (params) => void seen.push(`note ${params?.ip ?? 'none'}`),
      onDropped: (_params, error) => void seen.push(`dropped ${error}`),
      log: () => undefined,
    },
    held,
  );
  return { guard, seen, clock };
}

test('noted before anything else; let go when the deadline passes, once', async () => {
  const { guard, seen, clock } = setUp(null);
  guard.set(2000, address);
  guard.set(3000, address);
  assert.deepEqual(seen, ['note 192.0.2.1'], 'noted once, synchronously');
  assert.equal(guard.nextMs(), 3000);
  clock.now_ms = 2999;
  guard.check();
  assert.deepEqual(seen.length, 1);
  clock.now_ms = 3000;
  guard.check();
  guard.check();
  await guard.idle();
  assert.deepEqual(seen, ['note 192.0.2.1', 'stop', 'note none', 'dropped ']);
  assert.equal(guard.nextMs(), null);
});

test('the agent dies: let go at once; it says that it let go itself: only noted', async () => {
  const first = setUp(null);
  first.guard.set(9000, address);
  first.guard.drop();
  await first.guard.idle();
  assert.deepEqual(first.seen, ['note 192.0.2.1', 'stop', 'note none', 'dropped ']);
  const second = setUp(null);
  second.guard.set(9000, address);
  second.guard.set(0, null);
  second.guard.drop();
  await second.guard.idle();
  assert.deepEqual(second.seen, ['note 192.0.2.1', 'note none']);
});

test('what an earlier keeper noted is let go at the start', async () => {
  const { guard, seen } = setUp(address);
  guard.drop();
  await guard.idle();
  assert.deepEqual(seen, ['stop', 'note none', 'dropped ']);
});

test('a stop that fails is repeated until the address is gone, and forgotten only then', async () => {
  let holds = true;
  const { guard, seen } = setUp(
    null,
    () => Promise.reject(new Error('script failed')),
    async () => holds,
  );
  guard.set(9000, address);
  guard.drop();
  await until('two stops', () => seen.filter((word) => word === 'stop').length === 2);
  assert.ok(!seen.includes('note none'));
  holds = false;
  await guard.idle();
  assert.deepEqual(seen.slice(-2), ['note none', 'dropped script failed']);
});

test('announced again while the old stop runs: idle only afterwards, and still noted', async () => {
  const gate = Promise.withResolvers<void>();
  const { guard, seen } = setUp(null, () => gate.promise);
  guard.set(9000, address);
  guard.drop();
  guard.set(9500, address);
  let idle = false;
  const waiting = guard.idle().then(() => {
    idle = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(idle, false);
  gate.resolve();
  await waiting;
  assert.ok(!seen.includes('note none'), 'it is about to be started again');
  assert.equal(guard.nextMs(), 9500);
});

test('a full disk: an address that cannot be noted is refused; one that cannot be forgotten is let go all the same', async () => {
  let full = false;
  const seen: string[] = [];
  const clock = { now_ms: 1000 };
  const guard = new MasterGuard(
    {
      now_ms: () => clock.now_ms,
      after,
      driver: async () => ({ stop: async () => void seen.push('stop'), holds: async () => false }),
      persist: (params) => {
        if (full) throw new Error('ENOSPC: no space left on device, write');
        seen.push(`note ${params?.ip ?? 'none'}`);
      },
      onDropped: () => void seen.push('dropped'),
      log: () => undefined,
    },
    null,
  );
  full = true;
  guard.set(2000, address);
  await assert.rejects(guard.settled(), /could not be noted down, so it is not taken: ENOSPC/);
  assert.equal(guard.nextMs(), null, 'nothing is held');
  full = false;
  guard.set(2000, address);
  await guard.settled();
  assert.deepEqual(seen, ['note 192.0.2.1']);
  full = true;
  guard.drop();
  await guard.idle();
  assert.deepEqual(seen, ['note 192.0.2.1', 'stop', 'dropped'], 'let go once, not again and again');
  assert.equal(guard.nextMs(), null);
  full = false;
  guard.set(5000, { ...address, ip: '192.0.2.2' });
  guard.set(0, null);
  assert.deepEqual(seen.slice(3), ['note 192.0.2.2', 'note none']);
});
