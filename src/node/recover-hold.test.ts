import assert from 'node:assert/strict';
import { test } from 'node:test';
import { default_ha } from '../config/defaults.ts';
import { horizonMs } from '../config/horizon.ts';
import { createLeaseGranter, LeaseRefused } from './lease/lease-granter.ts';
import { holdsLeases } from './recover-hold.ts';
import { createTestEnv, settled } from './test-env.ts';

const T = horizonMs(default_ha, default_ha);
const recovery = (...words: boolean[]) => ({
  generation: 2,
  time: 1,
  node: 'a',
  unseen: words.map((word, at) => ({ node: `n${at}`, word })),
});

test('leases are held for T after the start while a node is unseen of which nobody said that it is off', () => {
  assert.equal(holdsLeases(undefined, default_ha, 0), false, 'never recovered');
  assert.equal(holdsLeases(recovery(), default_ha, 0), false, 'all were seen');
  assert.equal(holdsLeases(recovery(true, true), default_ha, 0), false, 'all are off');
  assert.equal(holdsLeases(recovery(true, false), default_ha, T - 1), true);
  assert.equal(holdsLeases(recovery(true, false), default_ha, T), false);
});

test('a renewal that is held is heard: the node is not taken for silent, and is granted when the hold ends', async () => {
  const env = createTestEnv();
  let hold = true;
  const granter = createLeaseGranter({
    ...env,
    readIndex: async () => ({ index: 5, term: 3 }),
    applied: () => 5,
    ha: () => default_ha,
    loggedBoot: () => 1,
    hold: () => hold,
  });
  const live = {
    total_memory_mib: 1,
    free_memory_mib: 1,
    cpus: 1,
    total_disk_mib: 1,
    free_disk_mib: 1,
    guests: [],
    os: [],
  };
  let sequence = 0;
  const renew = () =>
    granter.renew({
      node: 'a',
      boot: 1,
      sequence: ++sequence,
      sent_at_ms: sequence,
      applied: 5,
      watchdog: 'none',
      urgent: true,
      lease_ms: 10_000,
      guard_slack_ms: 2_000,
      live,
    });
  await assert.rejects(renew(), LeaseRefused);
  assert.equal(granter.heard().get('a')?.heard_at_ms, env.now_ms());
  hold = false;
  assert.equal((await renew()).index, 5);
  granter.stop();
  await settled();
});
