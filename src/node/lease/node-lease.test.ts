import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseGrant } from '../ha-types.ts';
import {
  createNodeLease,
  leaseTransition,
  nextHarmAtMs,
  no_node_lease,
  stageOf,
  startRefusal,
  takeGrant,
} from './node-lease.ts';

const grant: LeaseGrant = {
  sequence: 5,
  sent_at_ms: 1000,
  term: 3,
  index: 40,
  lease_ms: 10_000,
  guard_slack_ms: 2000,
};
const taken = takeGrant(no_node_lease, grant);

test('counted from the sending, whenever the grant arrives', () => {
  assert.deepEqual(taken.lease, { deadline_ms: 11_000, index: 40, lease_ms: 10_000, guard_slack_ms: 2000 });
  assert.equal(stageOf(50_000, taken.lease), 'kill', 'arrived too late to count');
});

test('late, older or foreign grants change nothing', () => {
  assert.equal(takeGrant(taken, { ...grant, sent_at_ms: 9000 }), taken, 'same sequence');
  assert.equal(takeGrant(taken, { ...grant, sequence: 4, sent_at_ms: 9000 }), taken, 'older sequence');
  assert.equal(takeGrant(taken, { ...grant, sequence: 6, term: 2, sent_at_ms: 9000 }), taken, 'older term');
  assert.equal(
    takeGrant(taken, { ...grant, sequence: 6, sent_at_ms: 9000 }, { sequence: 6, sent_at_ms: 2000 }),
    taken,
    'another sending',
  );
  assert.equal(takeGrant(taken, { ...grant, sequence: 6, lease_ms: Number.NaN }), taken, 'no duration');
  const next = takeGrant(
    taken,
    { ...grant, sequence: 6, sent_at_ms: 2000, index: 30 },
    { sequence: 6, sent_at_ms: 2000 },
  );
  assert.equal(next.lease.deadline_ms, 12_000);
  assert.equal(next.lease.index, 40, 'what had to be applied once has to be applied still');
});

test('stages at 0.3, 0.65 and 1 L since the sending', () => {
  const at = (ms: number) => stageOf(1000 + ms, taken.lease);
  assert.deepEqual([0, 2999, 3000, 6499, 6500, 9999, 10_000].map(at), [
    'ok',
    'ok',
    'suspect',
    'suspect',
    'pause',
    'pause',
    'kill',
  ]);
  assert.equal(stageOf(0, no_node_lease.lease), 'kill');
  assert.deepEqual(
    [1000, 4000, 7499, 7500, 11_000].map((now) => nextHarmAtMs(now, taken.lease)),
    [7500, 7500, 7500, 11_000, null],
  );
});

test('starts only on a lease that is ok and an index that is applied', () => {
  assert.equal(startRefusal(1500, taken.lease, 40), null);
  assert.match(startRefusal(1500, taken.lease, 39) ?? '', /applied entry 39.*from 40/);
  assert.match(startRefusal(4000, taken.lease, 40) ?? '', /suspect/);
  assert.match(startRefusal(11_000, taken.lease, 40) ?? '', /kill/);
  assert.match(startRefusal(0, no_node_lease.lease, 40) ?? '', /no lease yet/);
});

test('what a change of stage asks for', () => {
  assert.deepEqual(
    [
      leaseTransition('ok', 'suspect'),
      leaseTransition('suspect', 'pause'),
      leaseTransition('ok', 'kill'),
      leaseTransition('kill', 'ok'),
      leaseTransition('pause', 'ok'),
      leaseTransition('suspect', 'ok'),
      leaseTransition('kill', 'pause'),
      leaseTransition('pause', 'pause'),
    ],
    ['find-path', 'pause', 'kill', 'resume', 'resume', 'none', 'none', 'none'],
  );
});

test('the holder tells whether a grant counted', () => {
  const lease = createNodeLease();
  assert.equal(lease.take(grant), true);
  assert.equal(lease.take(grant), false);
  assert.equal(lease.stage(1500), 'ok');
  assert.equal(lease.mayStart(1500, 40), null);
});
