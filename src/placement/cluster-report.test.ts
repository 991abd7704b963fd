/** What still fits in each group, and what each loss would do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reportCluster } from './cluster-report.ts';
import type { PlacementView } from './placement-ask.ts';
import { cluster, group, instance, node } from './test-allocation.ts';

const small = {
  ...group('x').policy,
  std: { memory_mib: 4_096, cpus: 1, disk_mib: 1_024, disk_count: 1, nic_count: 1, spindle_use: 1 },
  minmax: [
    {
      min: { memory_mib: 64, cpus: 1, disk_mib: 64, disk_count: 0, nic_count: 0, spindle_use: 0 },
      max: { memory_mib: 8_192, cpus: 2, disk_mib: 1_024, disk_count: 16, nic_count: 8, spindle_use: 1 },
    },
  ],
};

function view(): PlacementView {
  const of = cluster(
    [node('a'), node('b'), node('c', { group: 1 }), node('d', { group: 2, offline: true })],
    [instance('x', { template: 'sharedfile', primary: 2 })],
    { groups: ['one', 'two', 'three'].map((name) => group(name, { policy: small })) },
  );
  const offline = { code: 'offline', text: 'is offline' } as const;
  return { cluster: of, refusals: [null, null, null, offline] };
}

test('what fits is counted group by group, so that any one node of it may still be lost', () => {
  const { groups } = reportCluster(view(), { template: 'sharedfile', lost: null, losses_only: false });
  // Each of the two nodes keeps room for the other's: of 16 GiB three of 4 fit, since all of it is never given away.
  assert.deepEqual(
    groups.map(({ name, usable, standard, stopped }) => [name, usable, standard.count, stopped]),
    [
      ['one', 2, 3, null],
      // Nobody can make up for one node alone.
      ['two', 1, 3, null],
      ['three', 0, 0, 'no node of it takes instances'],
    ],
  );
  assert.deepEqual(groups[0]!.tiered[0], {
    size: { memory_mib: 8_192, disk_mib: 1_024, vcpus: 2, spindles: 1 },
    count: 1,
  });
});

test('a node that is offline has no room for what another would lose', () => {
  const offline = { code: 'offline', text: 'is offline' } as const;
  const of = cluster([node('a'), node('b'), node('d', { offline: true })], [], {
    groups: [group('one', { policy: small })],
  });
  const given: PlacementView = { cluster: of, refusals: [null, null, offline] };
  const { groups } = reportCluster(given, { template: 'sharedfile', lost: null, losses_only: false });
  assert.equal(groups[0]!.standard.count, 3, 'as if the third were not there');
});

test('of each node: its instances that would find no place; or of one node only', () => {
  const all = reportCluster(view(), { template: 'sharedfile', lost: null, losses_only: true });
  assert.deepEqual(all.groups, []);
  assert.deepEqual(
    all.losses.map(({ node: of, instances, homeless }) => [of, instances, homeless.map(({ text }) => text)]),
    [
      ['a', 0, []],
      ['b', 0, []],
      ['c', 1, ['x has no other node to go to']],
      ['d', 0, []],
    ],
  );
  const { losses } = reportCluster(view(), { template: 'sharedfile', lost: 'c', losses_only: true });
  assert.deepEqual(
    losses.map(({ node: of }) => of),
    ['c'],
  );
});
