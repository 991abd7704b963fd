import assert from 'node:assert/strict';
import { test } from 'node:test';
import { horizonMs } from '../../src/config/horizon.ts';
import type { Disk, Instance, Node } from '../../src/config/model.ts';
import {
  calmMs,
  decide,
  evidenceFor,
  type HaWorld,
  no_memory,
  observe,
  retryDelayMs,
} from '../../src/node/ha/decide.ts';
import type { HeardNode } from '../../src/node/ha-types.ts';
import type { LiveNode } from '../../src/ops/types.ts';
import { type ModelState, model_ha, toCluster, toInstances, toNodes } from './state.ts';

const T = horizonMs(model_ha, model_ha);
const now = 1_000_000;

function state(owners: Record<string, { node: string; boot?: number }>, nodes = 5): ModelState {
  return {
    owners: new Map(
      Object.entries(owners).map(([name, { node, boot = 1 }]) => [name, { node, boot, epoch: 1 }]),
    ),
    boots: new Map(Array.from({ length: nodes }, (_, i) => [`n${i}`, 1])),
    health: new Map(),
  };
}

const heard = (uuid: string, ago_ms = 10, boot = 1): [string, HeardNode] => [
  uuid,
  {
    uuid,
    heard_at_ms: now - ago_ms,
    boot,
    lease_ms: model_ha.lease_ms,
    guard_slack_ms: model_ha.guard_slack_ms,
    kill_ms: model_ha.kill_ms,
  },
];

const live = (guests: LiveNode['guests'] = [], boot = 1): LiveNode => ({
  boot,
  total_memory_mib: 1,
  free_memory_mib: 1,
  cpus: 1,
  total_disk_mib: 1,
  free_disk_mib: 1,
  guests,
  os: [],
  age_ms: 10,
});

const guest = (uuid: string, state = 'running', epoch = 1) => ({
  uuid,
  name: uuid,
  epoch,
  state,
  memory_mib: 1,
  vcpus: 1,
});

/** Everybody heard just now, every instance running, unless overridden. */
function world(
  s: ModelState,
  overrides: Partial<HaWorld> = {},
  silent: Readonly<Record<string, number>> = {},
): HaWorld {
  const nodes = toNodes(s);
  const instances = toInstances(s);
  return {
    now_ms: now,
    leader_since_ms: now - 500_000,
    ha: model_ha,
    nodes,
    instances,
    heard: new Map(nodes.map((node) => heard(node.uuid, silent[node.uuid] ?? 10, node.boot))),
    live: new Map(
      nodes.map((node) => [
        node.uuid,
        live(
          instances.filter((i) => i.owner.node === node.uuid).map((i) => guest(i.uuid)),
          node.boot,
        ),
      ]),
    ),
    busy: new Set(),
    failures: new Map(),
    wall_s: 5000,
    cluster: toCluster(),
    groups: [],
    disks: [],
    ...overrides,
  };
}

const change = (nodes: readonly Node[], uuid: string, fields: Partial<Node>) =>
  nodes.map((node) => (node.uuid === uuid ? { ...node, ...fields } : node));
const short = (w: HaWorld) =>
  decide(w).map((a) =>
    a.type === 'hold'
      ? 'hold'
      : a.type === 'node-health'
        ? `${a.node} ${a.health}`
        : `${a.type} ${a.instance}${a.type === 'failover' ? ` to ${a.target ?? 'any'}` : ''}`,
  );

test('all well: nothing', () => {
  assert.deepEqual(decide(world(state({ web: { node: 'n0' } }))), []);
});

test('horizon: not a millisecond before T, then lost and failed over', () => {
  const s = state({ web: { node: 'n0' } });
  assert.deepEqual(short(world(s, {}, { n0: T - 1 })), []);
  assert.deepEqual(short(world(s, {}, { n0: T })), ['n0 lost', 'failover web to any']);
  assert.equal(evidenceFor(world(s, {}, { n0: T }), 'n0')?.kind, 'horizon');
});

test('power: no need to wait for T, guarded or not, in a storm or not; not of a node that is heard, nor for a later boot', () => {
  const s = state({ web: { node: 'n0' } });
  const suspect = { n0: 0.4 * model_ha.lease_ms };
  const off = (boot: number) => ({ no_power: new Map([['n0', { boot, text: 'n0 has no power' }]]) });
  assert.deepEqual(short(world(s, {}, suspect)), []);
  const w = world(s, off(1), suspect);
  assert.deepEqual(short(w), ['n0 lost', 'failover web to any']);
  assert.equal(evidenceFor(w, 'n0')?.kind, 'power');
  const unguarded = w.instances.map((each) => ({ ...each, guarded: false }));
  assert.deepEqual(short({ ...w, instances: unguarded }), ['n0 lost', 'failover web to any']);
  const storm = { ...no_memory, storm: { on: true, below_since_ms: null } };
  assert.deepEqual(short({ ...w, memory: storm }), ['hold', 'n0 lost', 'failover web to any']);
  assert.deepEqual(short(world(s, off(1))), [], 'heard');
  const rebooted = { ...state({ web: { node: 'n0', boot: 2 } }), boots: new Map([...s.boots, ['n0', 2]]) };
  assert.deepEqual(short(world(rebooted, off(1), suspect)), [], 'of the boot before');
  const unseen = new Map([['n0', false]]);
  assert.deepEqual(short({ ...w, unseen }), ['n0 lost', 'failover web to any'], 'after a recovery, too');
});

test('a new leader waits T from its own election, heard or not', () => {
  const s = state({ web: { node: 'n0' } });
  const others = new Map(['n1', 'n2', 'n3', 'n4'].map((n) => heard(n)));
  assert.deepEqual(short(world(s, { heard: others, leader_since_ms: now - T + 1 })), []);
  assert.deepEqual(short(world(s, { heard: others, leader_since_ms: now - T })), [
    'n0 lost',
    'failover web to any',
  ]);
});

test('the largest values that a node may hold count', () => {
  const s = state({ web: { node: 'n0' } });
  const w = world(s, {}, { n0: T });
  const [, before] = heard('n0', T);
  const larger = new Map([...w.heard, ['n0', { ...before, lease_ms: 10_000 }] as const]);
  assert.deepEqual(short({ ...w, heard: larger }), []);
});

test('an operator who sets offline, and a silent live report, are no evidence', () => {
  const s = state({ web: { node: 'n0' } });
  const w = world(s, {}, { n0: T - 1 });
  assert.deepEqual(short({ ...w, nodes: change(w.nodes, 'n0', { offline: true }), live: new Map() }), []);
});

test('boot: restarted at once on its own node when that is well, file disks too; elsewhere only if protected', () => {
  const s = {
    ...state({ web: { node: 'n0' }, file: { node: 'n0' } }),
    boots: new Map([...state({}).boots, ['n0', 2]]),
  };
  const disks = [{ uuid: 'd', dev_type: 'file', instance: 'file' } as Disk];
  const instances = toInstances(s).map(
    (i): Instance => (i.uuid === 'file' ? { ...i, disk_template: 'file', disks: ['d'] } : i),
  );
  const w = world(s, { instances, disks });
  assert.deepEqual(short(w), ['failover file to n0', 'failover web to n0']);
  const gone = world(s, { instances, disks }, { n0: 0.4 * model_ha.lease_ms });
  assert.deepEqual(short(gone), ['failover web to any'], 'its old boot is over, no need to wait for T');
});

test('a boot that is heard but not logged waits for the log', () => {
  const s = state({ web: { node: 'n0' } });
  const w = world(s);
  assert.deepEqual(short({ ...w, heard: new Map([...w.heard, heard('n0', 10, 2)]) }), []);
});

test('unprotected instances wait for their node; a disk that nobody knows protects nothing', () => {
  const s = state({ web: { node: 'n0' } });
  const w = world(s, {}, { n0: T });
  const off = { ...w.cluster, ha: { ...model_ha, autorepair: 'off' as const } };
  assert.deepEqual(short({ ...w, cluster: off }), ['n0 lost']);
  assert.deepEqual(short({ ...w, instances: w.instances.map((i) => ({ ...i, disks: ['unknown'] })) }), [
    'n0 lost',
  ]);
});

test('not twice on a busy instance, not one that is down, not before its back-off is over', () => {
  const s = state({ web: { node: 'n0' } });
  const w = world(s, {}, { n0: T });
  assert.deepEqual(short({ ...w, busy: new Set(['web']) }), ['n0 lost']);
  assert.deepEqual(
    short({ ...w, instances: w.instances.map((i) => ({ ...i, admin_state: 'down' as const })) }),
    ['n0 lost'],
  );
  const failed = (ago_ms: number, count: number) => ({
    ...w,
    failures: new Map([['web', { at_ms: now - ago_ms, count }]]),
  });
  assert.deepEqual(short(failed(3999, 3)), ['n0 lost']);
  assert.deepEqual(short(failed(4000, 3)), ['n0 lost', 'failover web to any']);
  assert.deepEqual([0, 1, 2, 9, 10, 99].map(retryDelayMs), [0, 1000, 2000, 256_000, 300_000, 300_000]);
});

test('should run and does not: started where its owner is well, by live data younger than its last job', () => {
  const s = state({ web: { node: 'n0' } });
  const w = world(s, { live: new Map([['n0', live()]]) });
  assert.deepEqual(short(w), ['start web']);
  assert.deepEqual(
    short({ ...w, job_ended_at_ms: new Map([['web', now - 5]]) }),
    [],
    'the report is from before',
  );
  assert.deepEqual(short({ ...w, job_ended_at_ms: new Map([['web', now - 20]]) }), ['start web']);
  assert.deepEqual(short({ ...w, live: new Map() }), [], 'no report is no news');
  assert.deepEqual(
    short({ ...w, live: new Map([['n0', live([guest('web', 'running', 0)])]]) }),
    [],
    'its node must end the old epoch first',
  );
  assert.deepEqual(short({ ...w, nodes: change(w.nodes, 'n0', { offline: true }) }), []);
  assert.deepEqual(
    short(world(s, { live: w.live }, { n0: 0.4 * model_ha.lease_ms })),
    [],
    'suspect: no new work',
  );
});

test('highest priority first, four at a time on a node', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const s = state(Object.fromEntries(names.map((name) => [name, { node: 'n0' }])));
  const tags: Record<string, string[]> = { f: ['skein:priority:5'], e: ['skein:priority:-1'] };
  const w = world(s, {
    instances: toInstances(s).map((i) => ({ ...i, tags: tags[i.name] ?? [] })),
    live: new Map([['n0', live()]]),
  });
  assert.deepEqual(short(w), ['start f', 'start a', 'start b', 'start c']);
  assert.deepEqual(short({ ...w, busy: new Set(['a', 'b', 'c']) }), ['start f']);
});

test('failovers without a target share what the well nodes have left', () => {
  const names = Array.from({ length: 20 }, (_, i) => `i${String(i).padStart(2, '0')}`);
  const s = state(Object.fromEntries(names.map((name) => [name, { node: 'n0' }])), 3);
  assert.equal(decide(world(s, {}, { n0: T })).filter((a) => a.type === 'failover').length, 8);
});

test('lost → returning when heard → member after a calm time', () => {
  const s: ModelState = { ...state({}), health: new Map([['n0', 'lost']]) };
  assert.deepEqual(short(world(s)), ['n0 returning']);
  assert.deepEqual(short(world(s, {}, { n0: 0.4 * model_ha.lease_ms })), []);
  const returning: ModelState = { ...state({}), health: new Map([['n0', 'returning']]) };
  const calm_ms = calmMs(model_ha);
  const since = (ms: number) => ({ ...no_memory, calm_since_ms: new Map([['n0', ms]]) });
  assert.deepEqual(short(world(returning)), [], 'a new leader counts from its own beginning');
  assert.deepEqual(short(world(returning, { memory: since(now - calm_ms + 1) })), []);
  assert.deepEqual(short(world(returning, { memory: since(now - calm_ms) })), ['n0 member']);
  // Recorded by a leader whose clock is an hour ahead, or behind: the wall clock decides nothing.
  for (const wall_s of [5000 - 3600, 5000 + 3600])
    assert.deepEqual(short(world(returning, { wall_s, memory: since(now - calm_ms + 1) })), []);
  for (const wall_s of [5000 - 3600, 5000 + 3600])
    assert.deepEqual(short(world(returning, { wall_s, memory: since(now - calm_ms) })), ['n0 member']);
});

test('calm is counted from when a leader first sees a node returning and heard; a gap begins it anew', () => {
  const at = (health: Node['health'], now_ms: number, silent: Readonly<Record<string, number>> = {}) => ({
    ...world({ ...state({}), health: new Map([['n0', health]]) }, {}, silent),
    now_ms,
  });
  const calm = (memory: typeof no_memory) => memory.calm_since_ms.get('n0');
  let memory = observe(no_memory, at('member', now));
  assert.equal(calm(memory), undefined, 'as long as it is well nothing is counted');
  memory = observe(memory, at('returning', now + 1));
  memory = observe(memory, at('returning', now + 2));
  assert.equal(calm(memory), now + 1);
  memory = observe(memory, at('returning', now + 3, { n0: T }));
  assert.equal(calm(memory), undefined);
  memory = observe(memory, at('returning', now + 4));
  assert.equal(calm(memory), now + 4);
});

test('storm brake: holds horizon, not boot; declares nobody lost; lifts after a calm time', () => {
  const owners = { a: { node: 'n0' }, b: { node: 'n1' }, c: { node: 'n2' }, d: { node: 'n3', boot: 0 } };
  const s = state(owners, 7);
  const silent = { n0: T, n1: T, n2: T };
  assert.deepEqual(short(world(s, {}, silent)), ['hold', 'failover d to n3']);
  assert.deepEqual(short(world(s, {}, { n0: T, n1: T })), [
    'n0 lost',
    'n1 lost',
    'failover a to any',
    'failover b to any',
    'failover d to n3',
  ]);

  let memory = observe(no_memory, world(s, {}, silent));
  assert.equal(memory.storm.on, true);
  const later = (ms: number) => {
    const w = world(s, { now_ms: now + ms }, {});
    return { ...w, heard: new Map([...w.heard].map(([id, h]) => [id, { ...h, heard_at_ms: now + ms }])) };
  };
  memory = observe(memory, later(1000));
  assert.equal(memory.storm.on, true, 'all are back, but not for long');
  memory = observe(memory, later(1000 + calmMs(model_ha) - 1));
  assert.equal(memory.storm.on, true);
  memory = observe(memory, later(1000 + calmMs(model_ha)));
  assert.equal(memory.storm.on, false);
});

test('nodes that fell silent long before each other are no storm', () => {
  const s = state({}, 7);
  let memory = observe(no_memory, world(s, {}, { n0: 700 }));
  const step = (ms: number, silent: string[]) => {
    const w = world(s, { now_ms: now + ms });
    memory = observe(memory, {
      ...w,
      heard: new Map(
        [...w.heard].map(([id, h]) => [
          id,
          { ...h, heard_at_ms: silent.includes(id) ? now - 5000 : now + ms },
        ]),
      ),
    });
  };
  step(calmMs(model_ha) + 1, ['n0', 'n1']);
  step(calmMs(model_ha) + 2, ['n0', 'n1', 'n2']);
  assert.equal(memory.storm.on, false);
  step(calmMs(model_ha) + 3, ['n0', 'n1', 'n2', 'n3']);
  assert.equal(memory.storm.on, true);
});
