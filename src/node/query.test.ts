import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Instance, Node } from '../config/model.ts';
import { createState } from '../config/state.ts';
import { init, instanceAdd, node, nodeJoin, tokenAdd } from '../config/test-fixtures.ts';
import type { LiveNode } from '../ops/types.ts';
import { instanceStatus, needsLive, nodeRole, queryRows } from './query.ts';

type Admin = Instance['admin_state'];
const guest = (state: string) =>
  [{ name: 'web', uuid: 'i1', epoch: 1, state, memory_mib: 128, vcpus: 1 }] as LiveNode['guests'];
const instanceOf = (admin_state: Admin, admin_state_source: Instance['admin_state_source'] = 'admin') =>
  ({ uuid: 'i1', admin_state, admin_state_source }) as Instance;
const liveOf = (guests: LiveNode['guests'], age_ms = 100) => ({ guests, age_ms }) as LiveNode;

test('statuses: what is configured against what the node says, and how old that is', () => {
  const well: Node = { ...node, health: 'member' };
  const cases: readonly (readonly [string, Instance, Node | undefined, LiveNode | undefined, boolean])[] = [
    ['running', instanceOf('up'), well, liveOf(guest('running')), false],
    ['paused', instanceOf('up'), well, liveOf(guest('paused')), false],
    ['ERROR_down', instanceOf('up'), well, liveOf([]), false],
    ['ERROR_up', instanceOf('down'), well, liveOf(guest('running')), false],
    ['ADMIN_down', instanceOf('down'), well, liveOf([]), false],
    ['USER_down', instanceOf('down', 'user'), well, liveOf([]), false],
    ['ADMIN_offline', instanceOf('offline'), well, liveOf([]), false],
    ['ERROR_wrongnode', instanceOf('up'), well, liveOf([]), true],
    ['ERROR_nodeoffline', instanceOf('up'), { ...well, offline: true }, liveOf(guest('running')), false],
    // Never `running` on old news, or of a node that is lost.
    ['ERROR_nodedown', instanceOf('up'), well, liveOf(guest('running'), 5_001), false],
    ['ERROR_nodedown', instanceOf('up'), { ...well, health: 'lost' }, liveOf(guest('running')), false],
    ['ERROR_nodedown', instanceOf('up'), well, undefined, false],
    ['ERROR_nodedown', instanceOf('up'), undefined, undefined, false],
    ['ADMIN_down', instanceOf('down'), well, undefined, false],
  ];
  for (const [expected, instance, host, live, elsewhere] of cases)
    assert.equal(instanceStatus(instance, host, live, elsewhere), expected);
});

test('roles of nodes', () => {
  const world = { leader: 1, voters: [1, 2] };
  const role = (change: Partial<Node>) => nodeRole({ ...node, ...change }, world);
  assert.deepEqual(
    [
      role({ member: 1 }),
      role({ member: 2 }),
      role({ member: 3 }),
      role({ member: 2, drained: true }),
      role({ member: 2, offline: true, drained: true }),
    ],
    ['M', 'C', 'R', 'D', 'O'],
  );
});

test('rows by name, uuid or none; what does not exist is named', () => {
  const state = createState();
  for (const command of [init, tokenAdd('t'), nodeJoin(2, 't')])
    assert.ok(state.apply(state.index + 1, command).ok);
  const world = { state, live: new Map<string, LiveNode>(), leader: 1, voters: [1], wall_s: 0 };
  const names = (wanted: readonly string[]) => {
    const { rows, missing } = queryRows(world, 'node', wanted);
    return [rows.map((row) => row['name']), missing];
  };
  assert.deepEqual(names([]), [['node1', 'node2'], []]);
  assert.deepEqual(names(['node-2']), [['node2'], []]);
  assert.deepEqual(names(['node1', 'node7']), [['node1'], ['node7']]);
  for (const resource of ['cluster', 'group', 'instance', 'job', 'os', 'disk', 'tag', 'lock'] as const)
    assert.deepEqual(queryRows(world, resource, []).missing, []);
  assert.equal(queryRows(world, 'cluster', []).rows[0]!['master'], 'node1');
});

test('cluster and groups say the whole policy that is in force, groups also what is their own', () => {
  const state = createState();
  for (const command of [
    init,
    { type: 'cluster-set', time: 1, changes: { ipolicy: { 'vcpu-ratio': 2, 'spindle-ratio': 8 } } },
    { type: 'group-set', time: 1, uuid: 'group-1', changes: { ipolicy: { 'vcpu-ratio': 3 } } },
  ] as const)
    assert.ok(state.apply(state.index + 1, command).ok);
  const world = { state, live: new Map<string, LiveNode>(), leader: 1, voters: [1], wall_s: 0 };
  const [cluster] = queryRows(world, 'cluster', []).rows;
  const [group] = queryRows(world, 'group', []).rows;
  const ratios = (policy: unknown) =>
    ['vcpu-ratio', 'spindle-ratio', 'memory-ratio'].map((key) => (policy as Record<string, number>)[key]);
  assert.deepEqual(ratios(cluster?.['ipolicy']), [2, 8, 1]);
  assert.deepEqual(ratios(group?.['ipolicy']), [3, 8, 1]);
  assert.deepEqual(group?.['custom_ipolicy'], { 'vcpu-ratio': 3 });
});

test('the fields asked for, and only those, are what a row with everything has of them', () => {
  const state = createState();
  const nic = {
    uuid: 'nic-1',
    name: null,
    mac: 'aa:00:00:00:00:01',
    ip: null,
    network: null,
    nicparams: { mode: 'routed' },
  };
  for (const command of [init, instanceAdd('db'), instanceAdd('web', 'sharedfile', { nics: [nic] })])
    assert.deepEqual({ ...state.apply(state.index + 1, command), value: null }, { ok: true, value: null });
  const runs = (uuid: string) => [{ ...guest('running')[0], uuid }] as LiveNode['guests'];
  const live = new Map([
    ['node-1', liveOf(runs('instance-web'))],
    ['node-2', liveOf(runs('instance-db'))],
  ]);
  const world = { state, live, leader: 1, voters: [1], wall_s: 0 };
  const [db, web] = queryRows(world, 'instance', []).rows;
  assert.ok(db && web);
  assert.deepEqual([db['status'], web['status'], web['oper_ram']], ['ERROR_wrongnode', 'running', 128]);
  assert.equal(web['be/memory'], 256);
  assert.deepEqual(web['nic.modes'], ['routed']);
  const all = Object.keys(web);
  for (const field of all) {
    const { rows } = queryRows(world, 'instance', ['web'], [field, 'no-such-field']);
    assert.deepEqual(rows, [{ [field]: web[field] }], field);
  }
  assert.deepEqual(queryRows(world, 'instance', ['web'], all).rows, [web]);
  assert.deepEqual(queryRows(world, 'instance', ['nobody'], ['os']).missing, ['nobody']);
  assert.deepEqual(
    ['node', 'instance', 'os', 'job', 'cluster', 'tag'].map((name) => needsLive(name as 'job')),
    [...[true, true, true], ...[false, false, false]],
  );
});
