import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type FenceProcess,
  fenceAction,
  fenceAtMs,
  leaseIsLive,
  max_ahead_ms,
  nextLease,
  no_lease,
} from './fence-action.ts';

const lease = { deadline_ms: 10_000, guard_slack_ms: 2000 };
const process = (name: string, overrides: Partial<FenceProcess> = {}): FenceProcess => ({
  name,
  protected: true,
  paused_proven: false,
  frozen: false,
  ...overrides,
});

test('nothing happens before deadline + K/2, and that moment is announced', () => {
  assert.deepEqual(fenceAction(10_999, lease, [process('web')]), {
    freeze: [],
    kill: [],
    thaw: [],
    next_ms: 11_000,
  });
  assert.deepEqual(fenceAction(10_999, lease, [process('web', { protected: false })]).next_ms, null);
});

test('from deadline + K/2 on: proven ones are frozen, others killed, unprotected left alone', () => {
  const all = [
    process('run'),
    process('paused', { paused_proven: true }),
    process('file', { protected: false }),
    process('ice', { paused_proven: true, frozen: true }),
  ];
  assert.deepEqual(fenceAction(11_000, lease, all), {
    freeze: ['paused'],
    kill: ['run'],
    thaw: [],
    next_ms: null,
  });
});

test('without any lease everything protected goes', () => {
  assert.equal(fenceAtMs(no_lease), 0);
  assert.deepEqual(fenceAction(5, no_lease, [process('web')]).kill, ['web']);
});

test('only a live deadline thaws; a frozen one without proof is killed even then', () => {
  const frozen = process('web', { paused_proven: true, frozen: true });
  assert.deepEqual(fenceAction(9_999, lease, [frozen]).thaw, ['web']);
  assert.deepEqual(fenceAction(10_000, lease, [frozen]).thaw, []);
  assert.deepEqual(fenceAction(9_000, lease, [{ ...frozen, paused_proven: false }]), {
    freeze: [],
    kill: ['web'],
    thaw: [],
    next_ms: null,
  });
});

test('a lease is live strictly before its deadline', () => {
  assert.equal(leaseIsLive(9_999, lease), true);
  assert.equal(leaseIsLive(10_000, lease), false);
  assert.equal(leaseIsLive(0, no_lease), false);
});

test('a deadline only grows unless reset, and none far ahead is believed', () => {
  const line = { deadline_ms: 9000, guard_slack_ms: 500, reset: false };
  assert.equal(nextLease(0, lease, line), lease);
  assert.deepEqual(nextLease(0, lease, { ...line, reset: true }), { deadline_ms: 9000, guard_slack_ms: 500 });
  assert.deepEqual(nextLease(0, lease, { ...line, deadline_ms: 12_000 }), {
    deadline_ms: 12_000,
    guard_slack_ms: 500,
  });
  assert.equal(nextLease(0, lease, { ...line, deadline_ms: max_ahead_ms + 1, reset: true }), lease);
});
