/** Moves: where an instance is afterwards, and what forbids one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  FAILOVER,
  FAILOVER_AND_REPLACE,
  FAILOVER_TO_ANY,
  type MoveKind,
  REPLACE_AND_FAILOVER,
  REPLACE_PRIMARY,
  REPLACE_SECONDARY,
  tryMove,
} from './moves.ts';
import {
  buildTable,
  FITS,
  failureOf,
  PRIMARIES,
  RESERVED_MEMORY,
  SECONDARIES,
  STRIDE,
  type Table,
} from './table.ts';
import { type SmallCluster, smallCluster } from './test-small-cluster.ts';

const nodes: SmallCluster['nodes'] = [['a'], ['b'], ['c']];

function tableOf(cluster: Partial<SmallCluster>): Table {
  return buildTable(smallCluster({ nodes, instances: [['i', 'a b']], ...cluster }));
}

function outcome(table: Table, kind: MoveKind, target: number, force = false): string {
  const failure = tryMove(table, 0, kind, target, force);
  return failure === FITS ? `${table.primary[0]}:${table.secondary[0]}` : failureOf(failure);
}

describe('tryMove', () => {
  const ends: readonly (readonly [string, MoveKind, number, string])[] = [
    ['f', FAILOVER, -1, '1:0'],
    ['f r:c f', REPLACE_PRIMARY, 2, '2:1'],
    ['r:c', REPLACE_SECONDARY, 2, '0:2'],
    ['r:c f', REPLACE_AND_FAILOVER, 2, '2:0'],
    ['f r:c', FAILOVER_AND_REPLACE, 2, '1:2'],
  ];
  for (const [name, kind, target, end] of ends) {
    it(`${name} takes an instance from a:b to ${end}`, () => {
      const table = tableOf({});
      assert.equal(outcome(table, kind, target), end);
      const [primary, secondary] = end.split(':').map(Number);
      const counts = [0, 1, 2].map((node) => [
        table.state[node * STRIDE + PRIMARIES],
        table.state[node * STRIDE + SECONDARIES],
        table.state[node * STRIDE + RESERVED_MEMORY],
      ]);
      assert.deepEqual(
        counts,
        [0, 1, 2].map((node) => [
          node === primary ? 1 : 0,
          node === secondary ? 1 : 0,
          node === secondary ? 1024 : 0,
        ]),
      );
    });
  }

  it('fa:c takes one with disks that every node reaches to c', () => {
    assert.equal(outcome(tableOf({ instances: [['i', 'a']] }), FAILOVER_TO_ANY, 2), '2:-1');
  });

  it('does not make a move that a hard limit forbids, even with force, and changes nothing', () => {
    const table = tableOf({ nodes: [['a'], ['b'], ['c', { total_memory_mib: 1024 }]] });
    const before = [...table.state];
    for (const kind of [REPLACE_PRIMARY, REPLACE_AND_FAILOVER] as const) {
      assert.equal(outcome(table, kind, 2, true), 'memory');
    }
    assert.deepEqual([...table.state], before);
    assert.equal(outcome(table, REPLACE_SECONDARY, 2, true), '0:2', 'a copy needs no memory');
  });

  it('goes by way of the secondary, which must have room for it', () => {
    const table = tableOf({ nodes: [['a'], ['b', { total_memory_mib: 1024 }], ['c']] });
    assert.equal(outcome(table, REPLACE_PRIMARY, 2), 'memory');
    assert.equal(outcome(table, FAILOVER, -1), 'memory');
    assert.equal(outcome(table, REPLACE_AND_FAILOVER, 2), '2:0');
  });

  it('waives soft limits for what leaves an offline node', () => {
    const tags = ['htools:iextags:s'];
    const instances: SmallCluster['instances'] = [
      ['i', 'a b', { tags: ['s:1'] }],
      ['j', 'b', { tags: ['s:1'] }],
    ];
    assert.equal(outcome(tableOf({ instances, tags }), FAILOVER, -1), 'tags');
    assert.equal(outcome(tableOf({ instances, tags }), FAILOVER, -1, true), '1:0');
    const offline: SmallCluster['nodes'] = [['a', { offline: true }], ['b'], ['c']];
    assert.equal(outcome(tableOf({ nodes: offline, instances, tags }), FAILOVER, -1), '1:0');
  });

  it('leaves the copy on an offline primary although that has no disk left', () => {
    const offline: SmallCluster['nodes'] = [
      ['a', { offline: true, total_disk_mib: 0, free_disk_mib: 0 }],
      ['b'],
      ['c'],
    ];
    assert.equal(outcome(tableOf({ nodes: offline }), FAILOVER, -1), '1:0');
  });

  it('migrates only where the tags allow it', () => {
    const tagged: SmallCluster['nodes'] = [['a', { tags: ['hv:new'] }], ['b'], ['c', { tags: ['hv:new'] }]];
    const table = (): Table => tableOf({ nodes: tagged, tags: ['htools:migration:hv'] });
    assert.equal(outcome(table(), FAILOVER, -1), 'migration');
    assert.equal(outcome(table(), REPLACE_PRIMARY, 2), 'migration');
    assert.equal(outcome(table(), FAILOVER_AND_REPLACE, 2), 'migration');
    assert.equal(outcome(table(), REPLACE_AND_FAILOVER, 2), '2:0');
    assert.equal(outcome(table(), REPLACE_SECONDARY, 2), '0:2');
  });
});
