/** Where an instance goes, and why nowhere else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Node } from '../config/model.ts';
import { group, node as template } from '../config/test-fixtures.ts';
import {
  chooseNode,
  explainRefusals,
  type NodeResources,
  type PlacementRequest,
  type PlacementView,
} from './choose-node.ts';

const node = (name: string, changes: Partial<Node> = {}): Node => ({
  ...template,
  uuid: `u-${name}`,
  name,
  ...changes,
});
const resources = (free_memory_mib: number, changes: Partial<NodeResources> = {}): NodeResources => ({
  total_memory_mib: 8_192,
  free_memory_mib,
  free_disk_mib: 10_000,
  guests: [],
  ...changes,
});

function view(
  nodes: readonly Node[],
  live: Record<string, NodeResources | undefined>,
  changes: Partial<PlacementView> = {},
): PlacementView {
  return { nodes, groups: [group], instances: [], live: (uuid) => live[uuid.slice(2)], ...changes };
}

const request: PlacementRequest = {
  instance: null,
  memory_mib: 1_024,
  local_disk_mib: 0,
  disk_template: 'diskless',
  current_node: null,
  group: null,
  exclude: new Map(),
};

describe('chooseNode', () => {
  const rules: readonly (readonly [
    string,
    Partial<Node>,
    NodeResources | undefined,
    Partial<PlacementRequest>,
    string,
    RegExp,
  ])[] = [
    ['not vm_capable', { vm_capable: false }, resources(4_096), {}, 'not-vm-capable', /vm_capable/],
    ['offline', { offline: true }, resources(4_096), {}, 'offline', /offline/],
    ['drained', { drained: true }, resources(4_096), {}, 'drained', /drained/],
    ['lost', { health: 'lost' }, resources(4_096), {}, 'not-well', /is lost/],
    ['returning', { health: 'returning' }, resources(4_096), {}, 'not-well', /is returning/],
    ['without live data', {}, undefined, {}, 'no-live-data', /not reported/],
    [
      'short of memory',
      {},
      resources(512),
      {},
      'memory',
      /needs 1024 MiB of memory, has 512 MiB free \(512 MiB short\)/,
    ],
    [
      'short of disk',
      {},
      resources(4_096, { free_disk_mib: 100 }),
      { local_disk_mib: 150 },
      'disk',
      /\(50 MiB short\)/,
    ],
    [
      'excluded',
      {},
      resources(4_096),
      { exclude: new Map([['u-a', 'ran it until now']]) },
      'excluded',
      /ran it until now/,
    ],
    ['in another group', {}, resources(4_096), { group: 'other' }, 'group', /in group default/],
    [
      'without the disks',
      {},
      resources(4_096),
      { disk_template: 'file', current_node: 'u-b' },
      'disks-elsewhere',
      /stays on its node/,
    ],
  ];
  for (const [what, changes, live, wanted, code, text] of rules) {
    it(`refuses a node that is ${what}`, () => {
      const { chosen, refused } = chooseNode(view([node('a', changes)], { a: live }), {
        ...request,
        ...wanted,
      });
      assert.equal(chosen, null);
      assert.deepEqual(
        refused.map((one) => [one.name, one.code]),
        [['a', code]],
      );
      assert.match(refused[0]!.text, text);
      assert.match(explainRefusals(refused), /^a: /);
    });
  }

  it('takes the largest share left, not the most MiB', () => {
    const nodes = [node('big'), node('small')];
    const live = {
      big: resources(6_000, { total_memory_mib: 64_000 }),
      small: resources(3_000, { total_memory_mib: 4_000 }),
    };
    const { chosen, fits } = chooseNode(view(nodes, live), request);
    assert.equal(chosen?.name, 'small');
    assert.deepEqual(
      fits.map(({ name }) => name),
      ['small', 'big'],
    );
    assert.equal(chosen.free_memory_mib, 1_976);
  });

  it('fits exactly', () => {
    assert.equal(chooseNode(view([node('a')], { a: resources(1_024) }), request).chosen?.free_share, 0);
    assert.equal(chooseNode(view([node('a')], { a: resources(1_023) }), request).chosen, null);
  });

  it('breaks ties by name, whatever the order', () => {
    const live = { a: resources(4_096), b: resources(4_096), c: resources(4_096) };
    assert.equal(chooseNode(view([node('c'), node('b'), node('a')], live), request).chosen?.name, 'a');
  });

  it('counts what was placed but does not run yet, once', () => {
    const placed = (uuid: string, admin_state: 'up' | 'down') => ({
      uuid,
      node: 'u-a',
      admin_state,
      memory_mib: 2_000,
    });
    const live = { a: resources(4_000, { guests: [{ uuid: 'runs' }] }), b: resources(3_000) };
    const nodes = [node('a'), node('b')];
    const chosen = (instances: PlacementView['instances'], wanted = request): string | undefined =>
      chooseNode(view(nodes, live, { instances }), wanted).chosen?.name;
    assert.equal(chosen([]), 'a');
    assert.equal(chosen([placed('runs', 'up')]), 'a', 'its memory is gone from free already');
    assert.equal(chosen([placed('sleeps', 'down')]), 'a');
    assert.equal(chosen([placed('starts', 'up')]), 'b');
    assert.equal(
      chosen([placed('starts', 'up')], { ...request, instance: 'starts' }),
      'a',
      'not against itself',
    );
  });

  it('spreads a burst of placements', () => {
    const nodes = ['a', 'b', 'c'].map((name) => node(name));
    const live = { a: resources(4_096), b: resources(4_096), c: resources(4_096) };
    const instances: { uuid: string; node: string; admin_state: 'up'; memory_mib: number }[] = [];
    for (let at = 0; at < 6; at++) {
      const { chosen } = chooseNode(view(nodes, live, { instances }), request);
      instances.push({ uuid: `i${at}`, node: chosen!.node, admin_state: 'up', memory_mib: 1_024 });
    }
    assert.deepEqual(
      instances.map((one) => one.node),
      ['u-a', 'u-b', 'u-c', 'u-a', 'u-b', 'u-c'],
    );
  });

  it('prefers preferred groups, then last resort, and never unallocable ones unasked', () => {
    const groups = [
      group,
      { ...group, uuid: 'g2', name: 'spare', alloc_policy: 'last_resort' as const },
      { ...group, uuid: 'g3', name: 'lab', alloc_policy: 'unallocable' as const },
    ];
    const nodes = [node('a'), node('b', { group: 'g2' }), node('c', { group: 'g3' })];
    const pick = (free_a: number, wanted: Partial<PlacementRequest> = {}): string | undefined =>
      chooseNode(
        view(nodes, { a: resources(free_a), b: resources(8_000), c: resources(8_000) }, { groups }),
        { ...request, ...wanted },
      ).chosen?.name;
    assert.equal(pick(2_000), 'a');
    assert.equal(pick(100), 'b');
    assert.equal(pick(2_000, { group: 'g3' }), 'c');
    const { refused } = chooseNode(
      view([node('c', { group: 'g3' })], { c: resources(8_000) }, { groups }),
      request,
    );
    assert.match(refused[0]!.text, /lab, which is unallocable/);
  });

  it('keeps local disks where they are', () => {
    const live = { a: resources(2_000), b: resources(8_000) };
    const wanted = { ...request, disk_template: 'file', current_node: 'u-a' };
    assert.equal(chooseNode(view([node('a'), node('b')], live), wanted).chosen?.name, 'a');
    assert.equal(
      chooseNode(view([node('a'), node('b')], live), { ...wanted, current_node: null }).chosen?.name,
      'b',
    );
  });

  it('says so when there are no nodes', () => {
    const { chosen, refused } = chooseNode(view([], {}), request);
    assert.equal(chosen, null);
    assert.equal(explainRefusals(refused), 'the cluster has no nodes');
  });
});
