import assert from 'node:assert/strict';
import { test } from 'node:test';
import { default_ha } from '../../config/defaults.ts';
import { horizonMs } from '../../config/horizon.ts';
import type { HaParams } from '../../config/model.ts';
import type { LeaseRenewal } from '../ha-types.ts';
import { createLeaseGranter, LeaseRefused } from './lease-granter.ts';

function setUp() {
  const world = {
    now_ms: 100_000,
    applied: 10,
    ha: default_ha as HaParams,
    boots: new Map([
      ['a', 1],
      ['b', 1],
    ]),
  };
  const rounds: PromiseWithResolvers<{ index: number; term: number }>[] = [];
  const timers: (() => void)[] = [];
  const granter = createLeaseGranter({
    now_ms: () => world.now_ms,
    after: (_ms, fn) => {
      timers.push(fn);
      return () => void timers.splice(timers.indexOf(fn), 1);
    },
    readIndex: () => {
      const round = Promise.withResolvers<{ index: number; term: number }>();
      rounds.push(round);
      return round.promise;
    },
    applied: () => world.applied,
    ha: () => world.ha,
    loggedBoot: (uuid) => world.boots.get(uuid) ?? null,
    log: () => undefined,
  });
  return { world, rounds, timers, granter };
}

const live: LeaseRenewal['live'] = {
  total_memory_mib: 1,
  free_memory_mib: 1,
  cpus: 1,
  total_disk_mib: 1,
  free_disk_mib: 1,
  guests: [],
  os: [],
};
const renewal = (overrides: Partial<LeaseRenewal> = {}): LeaseRenewal => ({
  node: 'a',
  boot: 1,
  sequence: 1,
  sent_at_ms: 500,
  applied: 10,
  watchdog: 'none',
  urgent: true,
  lease_ms: 10_000,
  guard_slack_ms: 2000,
  live,
  ...overrides,
});
const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof LeaseRefused && error.code === 'refused' && pattern.test(error.message);

test('routine renewals wait for each other, an urgent one for nobody', async () => {
  const { granter, rounds, timers } = setUp();
  const a = granter.renew(renewal({ urgent: false }));
  const b = granter.renew(renewal({ node: 'b', urgent: false }));
  assert.deepEqual([rounds.length, timers.length], [0, 1], 'one wait for both');
  timers[0]!();
  rounds[0]!.resolve({ index: 10, term: 4 });
  assert.deepEqual([(await a).index, (await b).index], [10, 10]);

  const later = granter.renew(renewal({ sent_at_ms: 600, urgent: false }));
  assert.equal(rounds.length, 1);
  const urgent = granter.renew(renewal({ node: 'b', sent_at_ms: 600 }));
  assert.equal(rounds.length, 2, 'and takes those that waited along');
  rounds[1]!.resolve({ index: 11, term: 4 });
  assert.deepEqual([(await later).index, (await urgent).index], [11, 11]);
});

test('one round serves all that came before it began; who comes later waits for the next', async () => {
  const { granter, rounds, world } = setUp();
  const a = granter.renew(renewal());
  assert.equal(rounds.length, 1);
  const b = granter.renew(renewal({ node: 'b', sent_at_ms: 900 }));
  assert.equal(rounds.length, 1, 'b came after the round began');
  let b_answered = false;
  void b.then(() => {
    b_answered = true;
  });
  world.applied = 12;
  rounds[0]!.resolve({ index: 11, term: 4 });
  assert.deepEqual(await a, {
    sequence: 1,
    sent_at_ms: 500,
    term: 4,
    index: 12,
    lease_ms: 10_000,
    guard_slack_ms: 2000,
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(b_answered, false);
  rounds[1]!.resolve({ index: 15, term: 4 });
  assert.equal((await b).index, 15);
});

test('without a quorum nothing is granted, and a round that hangs ends after L', async () => {
  const { granter, rounds, timers } = setUp();
  const lost = granter.renew(renewal());
  rounds[0]!.reject(new Error('not leader'));
  await assert.rejects(lost, refused(/no quorum/));
  const hangs = granter.renew(renewal({ sequence: 2, sent_at_ms: 600 }));
  assert.equal(timers.length, 1);
  timers[0]!();
  await assert.rejects(hangs, refused(/no quorum/));
});

test('a barred node is granted nothing, not even by a round under way, until every bar is lifted', async () => {
  const { granter, rounds } = setUp();
  const under_way = granter.renew(renewal());
  const lift = [granter.bar('a'), granter.bar('a')];
  rounds[0]!.resolve({ index: 1, term: 1 });
  await assert.rejects(under_way, refused(/loss is being decided/));
  const heard_at = granter.heard().get('a')?.heard_at_ms;
  lift[0]!();
  lift[0]!();
  await assert.rejects(granter.renew(renewal({ sent_at_ms: 700 })), refused(/loss is being decided/));
  assert.equal(granter.heard().get('a')?.heard_at_ms, heard_at, 'a refused renewal postpones no horizon');
  lift[1]!();
  const again = granter.renew(renewal({ sent_at_ms: 800 }));
  rounds[1]!.resolve({ index: 1, term: 1 });
  assert.equal((await again).sent_at_ms, 800);
});

test('older boots, strangers and late renewals are refused by name', async () => {
  const { granter, rounds, world } = setUp();
  await assert.rejects(granter.renew(renewal({ node: 'x' })), refused(/x is not a node/));
  const second = granter.renew(renewal({ boot: 2, sent_at_ms: 50 }));
  await assert.rejects(
    granter.renew(renewal({ boot: 1, sent_at_ms: 5000 })),
    refused(/boot 1 is over.*boot 2/),
  );
  await assert.rejects(granter.renew(renewal({ boot: 2, sent_at_ms: 40 })), refused(/younger/));
  rounds[0]!.resolve({ index: 1, term: 1 });
  await second;
  world.boots.set('b', 3);
  await assert.rejects(granter.renew(renewal({ node: 'b', boot: 2 })), refused(/boot 3/));
  const restarted = granter.renew(renewal({ boot: 2, sequence: 1, sent_at_ms: 60 }));
  rounds[1]!.resolve({ index: 1, term: 1 });
  assert.equal((await restarted).sent_at_ms, 60, 'an agent that came back counts from one again');
});

test('after stop, and when the term changed, nothing is granted and nothing remembered', async () => {
  const { granter, rounds } = setUp();
  const waiting = granter.renew(renewal());
  granter.stop();
  await assert.rejects(waiting, refused(/no longer the leader/));
  rounds[0]!.resolve({ index: 1, term: 1 });
  await assert.rejects(granter.renew(renewal()), refused(/no longer the leader/));
  assert.equal(granter.heard().size, 0);
  const other = setUp();
  const first = other.granter.renew(renewal());
  other.rounds[0]!.resolve({ index: 1, term: 1 });
  await first;
  const later = other.granter.renew(renewal({ sent_at_ms: 700 }));
  other.rounds[1]!.resolve({ index: 1, term: 3 });
  await assert.rejects(later, refused(/no longer the leader/));
});

test('lowered parameters: the larger values count as long as the node may hold them', async () => {
  const { granter, rounds, world } = setUp();
  const first = granter.renew(renewal());
  rounds[0]!.resolve({ index: 1, term: 1 });
  await first;
  world.ha = { ...default_ha, lease_ms: 2000, guard_slack_ms: 500 };
  world.now_ms += 1000;
  const second = granter.renew(renewal({ sent_at_ms: 1500, lease_ms: 2000, guard_slack_ms: 500 }));
  rounds[1]!.resolve({ index: 1, term: 1 });
  await second;
  assert.equal(granter.heard().get('a')?.lease_ms, 10_000);
  world.now_ms += horizonMs(default_ha, default_ha);
  const third = granter.renew(renewal({ sent_at_ms: 30_000, lease_ms: 2000, guard_slack_ms: 500 }));
  rounds[2]!.resolve({ index: 1, term: 1 });
  await third;
  assert.equal(granter.heard().get('a')?.lease_ms, 2000);
});

test('a node whose replica stands still for T is granted nothing and not counted as heard', async () => {
  const { granter, rounds, world } = setUp();
  const first = granter.renew(renewal());
  rounds[0]!.resolve({ index: 1, term: 1 });
  await first;
  const begin_ms = world.now_ms;
  world.applied = 20;
  world.now_ms = begin_ms + horizonMs(default_ha, default_ha) + 1;
  await assert.rejects(
    granter.renew(renewal({ sent_at_ms: 30_000 })),
    refused(/applied nothing beyond entry 10/),
  );
  assert.equal(granter.heard().get('a')?.heard_at_ms, begin_ms);
  const better = granter.renew(renewal({ sent_at_ms: 31_000, applied: 11 }));
  rounds[1]!.resolve({ index: 1, term: 1 });
  await better;
});
