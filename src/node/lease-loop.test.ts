import assert from 'node:assert/strict';
import { test } from 'node:test';
import { default_ha } from '../config/defaults.ts';
import type { ReplicaApi, ReplicaStatus } from '../consensus/api.ts';
import type { LeaseGrant, LeaseRenewal } from './ha-types.ts';
import { createLeaseLoop } from './lease-loop.ts';
import { createTestEnv } from './test-env.ts';

interface Asked {
  readonly member: number;
  readonly method: string;
  readonly renewal: LeaseRenewal;
  readonly signal: AbortSignal | undefined;
  grant(term?: number, index?: number): void;
  refuse(): void;
}

const live = { guests: [], os: [] } as unknown as LeaseRenewal['live'];

function createRig() {
  const env = createTestEnv();
  const asked: Asked[] = [];
  const deadlines: number[] = [];
  const rig = {
    env,
    asked,
    deadlines,
    leader: 2,
    up: new Set([2, 3, 4]),
    applied: 100,
    facts: () => Promise.resolve(live),
    roleChanged: (): void => undefined,
  };
  const loop = createLeaseLoop({
    env,
    replica: {
      status: () => ({ leader: rig.leader }) as ReplicaStatus,
      on: ((_event: 'role', handler: () => void) => {
        rig.roleChanged = handler;
        return () => undefined;
      }) as ReplicaApi['on'],
    },
    mesh: {
      isUp: (member) => rig.up.has(member),
      call: (member, method, params, options) =>
        new Promise((resolve, reject) => {
          const { renewal } = params as { renewal: LeaseRenewal };
          const { sequence, sent_at_ms } = renewal;
          options.signal?.addEventListener('abort', () => reject(new Error('given up')));
          asked.push({
            member,
            method,
            renewal,
            signal: options.signal,
            grant: (term = 1, index = 50) =>
              resolve({
                sequence,
                sent_at_ms,
                term,
                index,
                lease_ms: 10_000,
                guard_slack_ms: 2_000,
              } satisfies LeaseGrant),
            refuse: () => reject(new Error('no')),
          });
        }),
    },
    node_uuid: 'n1',
    boot: 1,
    self_member: 1,
    peers: () => [1, 2, 3, 4],
    applied: () => rig.applied,
    ha: () => default_ha,
    facts: () => rig.facts(),
    setLease: (deadline_ms) => deadlines.push(deadline_ms),
    changed: () => undefined,
  });
  return Object.assign(rig, { loop });
}

test('before the first grant nothing may start and nothing is paused; then until sent-at + L', async () => {
  const rig = createRig();
  await rig.env.advance(10);
  assert.equal(rig.loop.stage(), 'suspect');
  assert.match(rig.loop.mayStart() ?? '', /no lease yet/);
  const [first] = rig.asked;
  await rig.env.advance(500);
  first!.grant();
  await rig.env.advance(0);
  assert.deepEqual(rig.deadlines, [first!.renewal.sent_at_ms + 10_000], 'from the sending');
  assert.equal(rig.loop.mayStart(), null);
  assert.equal(rig.loop.stage(), 'ok');
  rig.loop.stop();
});

test('a grant counts for starting only once its index is applied here', async () => {
  const rig = createRig();
  await rig.env.advance(10);
  rig.applied = 49;
  rig.asked[0]!.grant(1, 50);
  await rig.env.advance(0);
  assert.match(rig.loop.mayStart() ?? '', /applied entry 49/);
  rig.applied = 50;
  assert.equal(rig.loop.mayStart(), null);
  rig.loop.stop();
});

test('an answer that comes late, and of an older term, changes nothing', async () => {
  const rig = createRig();
  await rig.env.advance(1_010);
  const [first, second] = rig.asked.filter((call) => call.method === 'lead.renew');
  second!.grant(2);
  await rig.env.advance(0);
  first!.grant(1);
  await rig.env.advance(0);
  assert.deepEqual(rig.deadlines, [second!.renewal.sent_at_ms + 10_000]);
  rig.loop.stop();
});

test('in doubt it asks through peers that are up, not the leader twice, not itself', async () => {
  const rig = createRig();
  rig.up.delete(4);
  await rig.env.advance(10);
  const seen = new Set(rig.asked.map((call) => `${call.method} ${call.member}`));
  assert.deepEqual([...seen].sort(), ['lead.renew 2', 'relay.renew 3']);
  rig.asked.find((call) => call.member === 3)!.grant();
  await rig.env.advance(0);
  assert.equal(rig.deadlines.length, 1);
  rig.asked.length = 0;
  await rig.env.advance(1_000);
  assert.deepEqual(
    [...new Set(rig.asked.map((call) => call.method))],
    ['lead.renew'],
    'well: only the leader',
  );
  rig.loop.stop();
});

test('a leader that froze does not use up the calls: whoever leads next is asked at once', async () => {
  const rig = createRig();
  await rig.env.advance(9_500);
  const open = rig.asked.filter((call) => call.member === 2 && !call.signal?.aborted);
  assert.equal(open.length, 3, 'a bounded number wait for it');
  rig.leader = 3;
  rig.asked.length = 0;
  rig.roleChanged();
  await rig.env.advance(10);
  assert.ok(rig.asked.some((call) => call.member === 3 && call.method === 'lead.renew'));
  rig.loop.stop();
  assert.ok(rig.asked.every((call) => call.signal?.aborted));
});

test('a burst of news sends a bounded number, and gives up none that is young', async () => {
  const rig = createRig();
  await rig.env.advance(10);
  rig.asked[0]!.grant();
  for (let n = 0; n < 50; n++) {
    rig.loop.renewSoon();
    await rig.env.advance(1);
  }
  const open = rig.asked.filter((call) => call.method === 'lead.renew').slice(1);
  assert.ok(open.length <= 3 && open.length > 0);
  assert.ok(open.every((call) => !call.signal?.aborted));
  rig.loop.stop();
});

test('a host that cannot be looked at renews with what it knew last; one never seen does not', async () => {
  const rig = createRig();
  rig.facts = () => Promise.reject(new Error('statfs hangs'));
  await rig.env.advance(1_000);
  rig.asked.length = 0;
  const count = rig.asked.length;
  rig.facts = () => new Promise(() => undefined);
  await rig.env.advance(3_000);
  assert.ok(rig.asked.length > count);
  assert.ok(rig.asked.every((call) => call.renewal.live === live));
  assert.match(rig.env.complaints.join(), /could not be looked at/);
  rig.loop.stop();
});

test('news that came during a look is in the next renewal', async () => {
  const rig = createRig();
  await rig.env.advance(10);
  const slow = Promise.withResolvers<LeaseRenewal['live']>();
  const fresh = { ...live, cpus: 9 };
  rig.facts = () => slow.promise;
  rig.loop.renewSoon();
  await rig.env.advance(5);
  rig.asked.length = 0;
  rig.facts = () => Promise.resolve(fresh);
  rig.loop.renewSoon();
  slow.resolve(live);
  await rig.env.advance(5);
  assert.equal(rig.asked.at(-1)!.renewal.live.cpus, 9);
  rig.loop.stop();
});
