/** Steps from one placement to another, and plans without detours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { default_balance, nodesOfGroup, type Step } from './balance.ts';
import { tryMove } from './moves.ts';
import { planSteps } from './plan-steps.ts';
import { shortenPlan } from './shorten-plan.ts';
import { buildTable, FITS, type Table } from './table.ts';
import { type SmallCluster, smallCluster } from './test-small-cluster.ts';

interface Trip {
  readonly table: Table;
  readonly name: (node: number) => string;
  readonly steps: readonly Step[];
}

/** @param to where each instance is to be, in their order: `a` or `a b` */
function trip(small: SmallCluster, ...to: readonly string[]): Trip {
  const cluster = smallCluster(small);
  const table = buildTable(cluster);
  const node = (name: string | undefined): number => cluster.nodes.findIndex((one) => one.name === name);
  const wanted = {
    primary: Int32Array.from(to, (where) => node(where.split(' ')[0])),
    secondary: Int32Array.from(to, (where) => node(where.split(' ')[1])),
  };
  const order = to.map((_, at) => at);
  const steps = planSteps(table, nodesOfGroup(table, 0), wanted, order, default_balance);
  return { table, name: (at) => cluster.nodes[at]?.name ?? '', steps };
}

function shown({ steps, name }: Trip): string {
  return steps.map((one) => `${one.instance}:${name(one.primary)}${name(one.secondary)}`).join(' ');
}

const big = { memory_mib: 10_240 };

describe('planSteps', () => {
  it('goes directly where it can, in one step or two', () => {
    const nodes: SmallCluster['nodes'] = [['a'], ['b'], ['c'], ['d']];
    assert.equal(shown(trip({ nodes, instances: [['i', 'a b']] }, 'b a')), '0:ba');
    assert.equal(shown(trip({ nodes, instances: [['i', 'a b']] }, 'c a')), '0:ca');
    assert.equal(shown(trip({ nodes, instances: [['i', 'a b']] }, 'a b')), '');
    assert.equal(trip({ nodes, instances: [['i', 'a b']] }, 'c d').steps.length, 2);
  });

  it('waits for the one that makes room', () => {
    const small: SmallCluster = {
      nodes: [['a'], ['b'], ['c']],
      instances: [
        ['i', 'a', big],
        ['j', 'b', big],
      ],
    };
    assert.equal(shown(trip(small, 'b', 'c')), '1:c 0:b');
  });

  it('moves one out of the way where two wait for each other, if there is a place for it', () => {
    const instances: SmallCluster['instances'] = [
      ['i', 'a', big],
      ['j', 'b', big],
    ];
    assert.equal(shown(trip({ nodes: [['a'], ['b'], ['c']], instances }, 'b', 'a')), '0:c 1:a 0:b');
    const stuck = trip({ nodes: [['a'], ['b']], instances }, 'b', 'a');
    assert.equal(shown(stuck), '');
    assert.deepEqual([...stuck.table.primary], [0, 1]);
  });
});

describe('shortenPlan', () => {
  /** The nodes that each step leads to, for instances whose disks every node reaches. */
  function shortened(small: SmallCluster, moves: readonly (readonly [number, number])[]): string {
    const cluster = smallCluster(small);
    const table = buildTable(cluster);
    const steps = moves.map(([instance, target]): Step => {
      const old_primary = table.primary[instance]!;
      assert.equal(tryMove(table, instance, 1, target, false), FITS);
      const rest = { old_secondary: -1, secondary: -1, score: 0 };
      return { instance, kind: 1, target, old_primary, primary: target, ...rest };
    });
    const origin = buildTable(cluster);
    const short = shortenPlan(origin, nodesOfGroup(origin, 0), steps, default_balance);
    return short.map((one) => `${one.instance}:${cluster.nodes[one.primary]!.name}`).join(' ');
  }

  const nodes: SmallCluster['nodes'] = [['a'], ['b'], ['c']];

  it('leaves out detours and rounds', () => {
    const instances: SmallCluster['instances'] = [['i', 'a']];
    assert.equal(
      shortened({ nodes, instances }, [
        [0, 1],
        [0, 2],
      ]),
      '0:c',
    );
    assert.equal(
      shortened({ nodes, instances }, [
        [0, 1],
        [0, 2],
        [0, 0],
      ]),
      '',
    );
  });

  it('leaves in what makes room for others', () => {
    const instances: SmallCluster['instances'] = [
      ['i', 'a', big],
      ['j', 'b', big],
    ];
    const exchange = [
      [0, 2],
      [1, 0],
      [0, 1],
    ] as const;
    assert.equal(shortened({ nodes, instances }, exchange), '0:c 1:a 0:b');
  });
});
