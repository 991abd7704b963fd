/** The cluster as placement sees it: who may take instances, what is free, what was promised. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StateView } from '../config/api.ts';
import type { Instance, Node } from '../config/model.ts';
import { recordedChoices } from './choices.ts';
import { createPlacementViewer } from './placement-view.ts';
import {
  aCluster,
  aDisk,
  aNode,
  anInstance,
  aPlanning,
  aReport,
  aStep,
  sceneState,
} from './test-placement-state.ts';
import type { LiveNode } from './types.ts';

type Reports = Readonly<Record<string, LiveNode | undefined>>;

function look(state: StateView, reports: Reports) {
  const view = createPlacementViewer(state).view((uuid) => reports[uuid.slice(2)], recordedChoices(state));
  const at = (name: string) => view.cluster.nodes.findIndex((node) => node.name === name);
  return {
    view,
    node: (name: string) => view.cluster.nodes[at(name)]!,
    refusal: (name: string) => view.refusals[at(name)] ?? null,
    instance: (name: string) => view.cluster.instances.find((one) => one.name === name),
    homeOf: (name: string) =>
      view.cluster.nodes[view.cluster.instances.find((one) => one.name === name)!.primary]!.name,
  };
}

describe('nodes that take nothing', () => {
  const cases: readonly (readonly [string, Partial<Node>, LiveNode | undefined, string | null])[] = [
    ['a well one', {}, aReport(), null],
    ['not vm_capable', { vm_capable: false }, aReport(), 'is not vm_capable'],
    ['offline', { offline: true }, aReport(), 'is offline'],
    ['drained', { drained: true }, aReport(), 'is drained'],
    ['lost', { health: 'lost' }, aReport(), 'is lost'],
    ['returning', { health: 'returning' }, aReport(), 'is returning'],
    ['not heard', {}, undefined, 'has not reported its resources lately'],
    ['of no memory', {}, aReport({ total_memory_mib: 0 }), 'has not reported its resources lately'],
    ['last heard a lease ago', {}, aReport({ age_ms: 10_001 }), 'has not reported its resources lately'],
  ];
  for (const [what, changes, report, text] of cases) {
    it(what, () => {
      const seen = look(sceneState({ nodes: [aNode('a', changes)] }), { a: report });
      assert.equal(seen.refusal('a')?.text ?? null, text);
      assert.equal(seen.node('a').offline, text !== null);
    });
  }
});

describe('memory', () => {
  const cases: readonly (readonly [
    string,
    Partial<Instance>,
    readonly (readonly [string, number])[],
    { readonly free: number; readonly own: number; readonly status: string },
  ])[] = [
    [
      'of a guest that runs is not free already',
      {},
      [['web', 1_024]],
      { free: 4_096, own: 3_072, status: 'running' },
    ],
    ['of one that is to run is promised', {}, [], { free: 3_072, own: 4_096, status: 'running' }],
    [
      'that a running guest will grow by is promised',
      {},
      [['web', 768]],
      { free: 3_840, own: 3_328, status: 'running' },
    ],
    [
      'of one that is down is not',
      { admin_state: 'down' },
      [],
      { free: 4_096, own: 4_096, status: 'ADMIN_down' },
    ],
    [
      'of one that its user shut down is not',
      { admin_state: 'down', admin_state_source: 'user' },
      [],
      { free: 4_096, own: 4_096, status: 'USER_down' },
    ],
    [
      'of one that runs and should not is taken',
      { admin_state: 'down' },
      [['web', 1_024]],
      { free: 4_096, own: 3_072, status: 'ERROR_up' },
    ],
    [
      'of a stranger is taken',
      { admin_state: 'offline' },
      [['x', 512]],
      { free: 4_096, own: 3_584, status: 'ADMIN_offline' },
    ],
  ];
  for (const [what, changes, guests, { free, own, status }] of cases) {
    it(what, () => {
      const state = sceneState({ nodes: [aNode('a')], instances: [anInstance('web', 'a', changes)] });
      const seen = look(state, { a: aReport({}, guests) });
      assert.equal(seen.node('a').free_memory_mib, free);
      assert.equal(seen.node('a').node_memory_mib, own);
      assert.equal(seen.instance('web')?.status, status);
    });
  }

  it('is what the parameters say with every layer filled', () => {
    const state = sceneState({
      cluster: aCluster({ beparams: { maxmem: 2_048, vcpus: 3 } }),
      nodes: [aNode('a')],
      instances: [anInstance('web', 'a', { beparams: {} })],
    });
    const row = look(state, { a: aReport() }).instance('web');
    assert.deepEqual([row?.memory_mib, row?.vcpus, row?.spindle_use], [2_048, 3, 1]);
  });
});

describe('disks', () => {
  it('of files are on the node, of shared files elsewhere', () => {
    const disks = [aDisk('one', 'web', 1_000), aDisk('two', 'web', 500)];
    for (const [template, local] of [
      ['file', true],
      ['sharedfile', false],
    ] as const) {
      const web = anInstance('web', 'a', { disk_template: template, disks: ['d-one', 'd-two'] });
      const seen = look(sceneState({ nodes: [aNode('a')], instances: [web], disks }), { a: aReport() });
      assert.equal(seen.instance('web')?.disk_mib, 1_500);
      assert.equal(seen.instance('web')?.local_disk, local);
      assert.equal(seen.node('a').free_disk_mib, 50_000);
    }
  });
});

describe('choices not yet owned', () => {
  const instance = { ...anInstance('new', 'a', { admin_state: 'down', disk_template: 'file' }) };
  const plan = { instance, disks: [{ size: 1_000 }, { size: 500 }] };
  const nodes = [aNode('a'), aNode('b')];
  const reports = { a: aReport(), b: aReport() };

  it('a new instance takes memory and disk as soon as its plan is recorded', () => {
    const { job, step } = aPlanning(7, 'OP_INSTANCE_CREATE', plan);
    const seen = look(sceneState({ nodes, jobs: [job], steps: [step] }), reports);
    assert.equal(seen.homeOf('new'), 'a');
    assert.equal(seen.instance('new')?.status, 'running');
    assert.deepEqual([seen.node('a').free_memory_mib, seen.node('a').free_disk_mib], [3_072, 48_500]);
    assert.equal(seen.node('b').free_memory_mib, 4_096);
  });

  it('one that is not to be started takes no memory', () => {
    const { job, step } = aPlanning(7, 'OP_INSTANCE_CREATE', plan, { start: false });
    const seen = look(sceneState({ nodes, jobs: [job], steps: [step] }), reports);
    assert.equal(seen.instance('new')?.status, 'ADMIN_down');
    assert.equal(seen.node('a').free_memory_mib, 4_096);
  });

  it('while it is made, and down, it takes memory, and disk for what is not made yet', () => {
    const { job, step } = aPlanning(7, 'OP_INSTANCE_CREATE', plan);
    const made = aStep(7, 1, 'create-disk-0', 'disk.create', 'done', null);
    const open = aStep(7, 2, 'create-disk-1', 'disk.create', 'open', null);
    const seen = look(
      sceneState({ nodes, instances: [instance], jobs: [job], steps: [step, made, open] }),
      reports,
    );
    assert.equal(seen.view.cluster.instances.length, 1);
    assert.deepEqual([seen.node('a').free_memory_mib, seen.node('a').free_disk_mib], [3_072, 49_500]);
  });

  it('a job that has ended has chosen nothing', () => {
    const { job, step } = aPlanning(7, 'OP_INSTANCE_CREATE', plan);
    const ended = { ...job, ops: job.ops.map((op) => ({ ...op, status: 'error' as const })) };
    const seen = look(sceneState({ nodes, jobs: [ended], steps: [step] }), reports);
    assert.equal(seen.instance('new'), undefined);
  });

  it('a failover counts on its target until the owner has changed', () => {
    const web = anInstance('web', 'a');
    const target = { facts: { uuid: web.uuid, owner: web.owner }, target: { uuid: 'u-b' } };
    const { job, step } = aPlanning(7, 'OP_INSTANCE_FAILOVER', target);
    const before = look(sceneState({ nodes, instances: [web], jobs: [job], steps: [step] }), {
      ...reports,
      a: aReport({}, [['web', 1_024]]),
    });
    assert.equal(before.homeOf('web'), 'b');
    assert.deepEqual([before.node('a').free_memory_mib, before.node('b').free_memory_mib], [4_096, 3_072]);
    const moved = { ...web, owner: { node: 'u-a', boot: 1, epoch: 2 } };
    const after = look(sceneState({ nodes, instances: [moved], jobs: [job], steps: [step] }), reports);
    assert.equal(after.homeOf('web'), 'a');
  });
});

it('what has not changed is the same object in the next view', () => {
  const web = anInstance('web', 'a');
  const state = sceneState({ nodes: [aNode('a'), aNode('b')], instances: [web, anInstance('db', 'b')] });
  const viewer = createPlacementViewer(state);
  const reports: Record<string, LiveNode> = { a: aReport(), b: aReport() };
  const first = viewer.view((uuid) => reports[uuid.slice(2)], []).cluster;
  reports['a'] = aReport({ age_ms: 900 });
  reports['b'] = aReport({ free_memory_mib: 4_000 });
  const second = viewer.view((uuid) => reports[uuid.slice(2)], []).cluster;
  const kept = (list: 'groups' | 'nodes' | 'instances') =>
    second[list].map((row, at) => row === first[list][at]);
  // Nodes come the last by name first.
  assert.deepEqual([kept('groups'), kept('nodes'), kept('instances')], [[true], [false, true], [true, true]]);
});
