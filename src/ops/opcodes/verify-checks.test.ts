import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accept, init, instanceAdd, nodeJoin, now, stateWith, tokenAdd } from '../../config/test-fixtures.ts';
import type { NodeVerifyReport } from '../types.ts';
import { type Finding, verifyNodes } from './verify-checks.ts';

const up = {
  type: 'instance-set',
  time: now,
  uuid: 'instance-web1',
  if_epoch: null,
  changes: { admin_state: 'up' },
} as const;

/** What is said of node-1, which runs web1 under `epoch`. */
function said(state: ReturnType<typeof stateWith>, epoch = 1): readonly Finding[] {
  const report: NodeVerifyReport = {
    guests: [{ name: 'web1', uuid: 'instance-web1', epoch, state: 'running' }],
    orphan_files: [],
    missing_disks: [],
    applied_index: state.index,
    state_hash_at: { index: state.index, hash: state.hash() },
    version: '1',
    wall_time: now,
    hypervisors: {},
    free_mib: {},
  };
  return verifyNodes(state, [{ uuid: 'node-1', name: 'node1', report, problem: '' }], now);
}

test('a running instance that was started while it needed no guard is named, until it is started anew', () => {
  const state = stateWith(init, instanceAdd('web1'), up);
  assert.equal(state.get('instances', 'instance-web1')?.guarded, false);
  assert.deepEqual(said(state), [], 'on one host there is nothing to guard it from');
  for (const n of [2, 3]) {
    accept(state, tokenAdd(`t${n}`));
    accept(state, nodeJoin(n, `t${n}`));
  }
  const [finding, ...rest] = said(state);
  assert.deepEqual(rest, []);
  assert.deepEqual(finding?.slice(0, 4), ['WARNING', 'EINSTANCEPOLICY', 'instance', 'web1']);
  assert.match(
    finding?.[4] ?? '',
    /is not guarded.*started while it needed no guard; .*skein instance reboot web1$/,
  );

  const { node, boot } = state.get('instances', 'instance-web1')!.owner;
  const evidence = { kind: 'stopped', text: 'it was stopped' } as const;
  accept(state, {
    type: 'instance-owner',
    time: now,
    uuid: 'instance-web1',
    if_epoch: 1,
    node,
    boot,
    evidence,
  });
  assert.equal(state.get('instances', 'instance-web1')?.guarded, true);
  assert.deepEqual(said(state, 2), []);
  const add = ['ganeti:watcher:autorepair:suspend'];
  accept(state, { type: 'tags', time: now, kind: 'instance', uuid: 'instance-web1', add, remove: [] });
  assert.deepEqual(said(state, 2), [], 'guarded for nothing does no harm');
});
