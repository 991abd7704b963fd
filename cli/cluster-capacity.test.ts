import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterReport } from '../src/placement/cluster-report.ts';
import { capacityLines } from './cluster-capacity.ts';

const size = { memory_mib: 2_048, disk_mib: 10_240, vcpus: 1, spindles: 1 };
const group = {
  name: 'default',
  alloc_policy: 'preferred',
  nodes: 3,
  usable: 2,
  standard: { size, count: 7 },
  tiered: [{ size: { ...size, memory_mib: 32_768, vcpus: 8 }, count: 1 }],
  stopped: null,
} as const;
const text = 'web1 needs 2048 MiB of memory, the most that is free is 512 MiB on n3 (1536 MiB short)';
const homeless = [{ name: 'web1', short_memory_mib: 1_536, short_disk_mib: 0, text }];

test('cluster capacity: what fits in each group, and whose loss leaves instances without a place', () => {
  const report: ClusterReport = {
    template: 'sharedfile',
    groups: [
      group,
      {
        ...group,
        name: 'old',
        usable: 0,
        standard: { size, count: 0 },
        tiered: [],
        stopped: 'no node of it takes instances',
      },
    ],
    losses: [
      { node: 'n1', instances: 2, homeless },
      { node: 'n2', instances: 1, homeless: [] },
    ],
  };
  assert.deepEqual(capacityLines(report, false), [
    'Group default (preferred): 2 of 3 nodes take instances',
    '  7 of 2.0G memory, 10.0G disk, 1 CPU (the standard size)',
    '  or 1 of 32.0G memory, 10.0G disk, 8 CPUs',
    'Group old (preferred): 0 of 3 nodes take instances',
    '  nothing more fits: no node of it takes instances',
    'If n1 is lost, 1 of its 2 instances find no place:',
    `  ${text}`,
  ]);
  const safe = { ...report, groups: [], losses: [{ node: 'n2', instances: 1, homeless: [] }] };
  assert.deepEqual(capacityLines(safe, false), [
    'Any one node may be lost: each of its instances would find a place.',
  ]);
  assert.deepEqual(capacityLines(safe, true), ['If n2 is lost, each of its 1 instances finds a place.']);
});
