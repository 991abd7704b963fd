/** What each rule allows and costs; that answers stay right while instances move; contradictions. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import { default_policy } from './default-policy.ts';
import type { RuleError } from './failure-domains.ts';
import { ruleFailures } from './rule-failures.ts';
import {
  allows,
  allowsMove,
  boundTo,
  compileRules,
  copyRules,
  type PlacementRules,
  penalty,
  placed,
  removed,
  rule_weights,
  totalPenalty,
  violations,
} from './rules.ts';
import { type SmallCluster, smallCluster } from './test-small-cluster.ts';

function rulesOf(cluster: PlacementCluster): PlacementRules {
  const compiled = compileRules(cluster);
  if ('errors' in compiled) throw new Error(compiled.errors.map(({ text }) => text).join('\n'));
  return compiled.rules;
}

function errorsOf(shape: SmallCluster): readonly RuleError[] {
  const compiled = compileRules(smallCluster(shape));
  return 'errors' in compiled ? compiled.errors : [];
}

/** Two racks of two nodes, and one node that nobody knows the rack of. */
const racks: SmallCluster['nodes'] = [
  ['n1', { tags: ['skein:domain:rack:r1'] }],
  ['n2', { tags: ['skein:domain:rack:r1'] }],
  ['n3', { tags: ['skein:domain:rack:r2'] }],
  ['n4', { tags: ['skein:domain:rack:r2'] }],
  ['n5'],
];
const tagged = (...tags: readonly string[]): Partial<PlacementInstance> => ({ tags });
const nowhere = { primary: -1, secondary: -1 };

/** The names of the nodes that the last instance may be on; its secondary, if it has one, stays. */
function allowed(shape: SmallCluster, secondary = -1): string {
  const cluster = smallCluster(shape);
  const rules = rulesOf(cluster);
  const last = cluster.instances.length - 1;
  return cluster.nodes
    .filter((_, node) => allows(rules, last, node, secondary))
    .map(({ name }) => name)
    .join(' ');
}

describe('hard rules', () => {
  const of_web = (strength: string, level: string): string => `skein:anti-affinity:${strength}:web${level}`;
  const cases: readonly (readonly [string, SmallCluster, string])[] = [
    [
      'nobody asks for anything',
      {
        nodes: racks,
        instances: [
          ['a', 'n1'],
          ['b', 'n1'],
        ],
      },
      'n1 n2 n3 n4 n5',
    ],
    [
      'apart, by node',
      {
        nodes: racks,
        instances: [
          ['a', 'n1', tagged(of_web('must', ''))],
          ['b', 'n2', tagged(of_web('must', ''))],
          ['c', 'n3'],
          ['d', 'n1', tagged(of_web('must', ''))],
        ],
      },
      'n3 n4 n5',
    ],
    [
      'apart, by rack: not where no rack is known',
      {
        nodes: racks,
        instances: [
          ['a', 'n1', tagged(of_web('must', '@rack'))],
          ['b', 'n1', tagged(of_web('must', '@rack'))],
        ],
      },
      'n3 n4',
    ],
    [
      'apart from one that only has the label',
      {
        nodes: racks,
        instances: [
          ['a', 'n1', tagged('skein:label:web')],
          ['b', 'n1', tagged(of_web('must', ''))],
        ],
      },
      'n2 n3 n4 n5',
    ],
    [
      'one that only has the label keeps away from one that asks for it',
      {
        nodes: racks,
        instances: [
          ['a', 'n1', tagged(of_web('must', ''))],
          ['b', 'n2', tagged('skein:label:web')],
          ['c', 'n1', tagged('skein:label:web')],
        ],
      },
      'n2 n3 n4 n5',
    ],
    [
      'together, by node',
      {
        nodes: racks,
        instances: [
          ['a', 'n3', tagged('skein:affinity:must:app')],
          ['b', 'n1', tagged('skein:affinity:must:app')],
        ],
      },
      'n3',
    ],
    [
      'together, by rack',
      {
        nodes: racks,
        instances: [
          ['a', 'n3', tagged('skein:label:app')],
          ['b', 'n1', tagged('skein:affinity:must:app@rack')],
        ],
      },
      'n3 n4',
    ],
    [
      'the first of those to be together goes anywhere',
      { nodes: racks, instances: [['a', '', { ...nowhere, tags: ['skein:affinity:must:app'] }]] },
      'n1 n2 n3 n4 n5',
    ],
    [
      'one of the nodes that are named',
      { nodes: racks, instances: [['a', 'n1', tagged('skein:node:must:n2', 'skein:node:must:n5')]] },
      'n2 n5',
    ],
    [
      'in one of the racks that are named',
      { nodes: racks, instances: [['a', 'n1', tagged('skein:within:must:rack:r2')]] },
      'n3 n4',
    ],
    [
      'nodes and racks both count',
      {
        nodes: racks,
        instances: [
          ['a', 'n1', tagged('skein:within:must:rack:r2', 'skein:node:must:n2', 'skein:node:must:n4')],
        ],
      },
      'n4',
    ],
    [
      'soft rules forbid nothing',
      {
        nodes: racks,
        instances: [
          ['a', 'n1', tagged(of_web('should', ''))],
          [
            'b',
            'n2',
            tagged(
              of_web('should', '@rack'),
              'skein:node:should:n5',
              'skein:within:should:rack:r1',
              'skein:label:web',
            ),
          ],
        ],
      },
      'n1 n2 n3 n4 n5',
    ],
  ];
  for (const [what, shape, expected] of cases) it(what, () => assert.equal(allowed(shape), expected));

  it('whatever is placed nowhere is in nobody’s way', () => {
    const cluster = smallCluster({
      nodes: racks,
      instances: [
        ['a', 'n1', tagged('skein:anti-affinity:must:web')],
        ['b', '', { ...nowhere, tags: ['skein:anti-affinity:must:web'] }],
      ],
    });
    const rules = rulesOf(cluster);
    assert.ok(!allows(rules, 1, 0, -1));
    removed(rules, 0);
    assert.ok(allows(rules, 1, 0, -1));
    placed(rules, 1, 0, -1);
    assert.ok(!allows(rules, 0, 0, -1));
    assert.ok(allows(rules, 0, 1, -1));
  });

  it('the secondary is where it may be failed over to', () => {
    const cluster = smallCluster({
      nodes: racks,
      instances: [['a', 'n1 n2', tagged('skein:node:must:n1', 'skein:node:must:n3')]],
    });
    const rules = rulesOf(cluster);
    assert.ok(!allows(rules, 0, 0, 1));
    assert.ok(allows(rules, 0, 0, 2));
    assert.ok(allows(rules, 0, 0, -1));
  });

  it('two copies in two racks: of one instance, of a group, of the cluster', () => {
    const shapes: readonly SmallCluster[] = [
      { nodes: racks, instances: [['a', 'n1 n2', tagged('skein:spread:must:rack')]] },
      { nodes: racks, instances: [['a', 'n1 n2']], groups: [{ tags: ['skein:spread:must:rack'] }] },
      { nodes: racks, instances: [['a', 'n1 n2']], tags: ['skein:spread:must:rack'] },
    ];
    for (const shape of shapes) {
      assert.equal(allowed(shape, 1), 'n3 n4');
      assert.equal(allowed(shape, 4), '', 'not where no rack is known');
      assert.equal(allowed(shape), 'n1 n2 n3 n4 n5');
    }
  });

  it('broken ones can be mended step by step', () => {
    const web = tagged('skein:anti-affinity:must:web');
    const rules = rulesOf(
      smallCluster({
        nodes: [['n1'], ['n2'], ['n3']],
        instances: [
          ['a', 'n1', web],
          ['b', 'n1', web],
          ['c', 'n1', web],
          ['d', 'n2', web],
        ],
      }),
    );
    assert.equal(violations(rules, 0, 0, -1), 2);
    assert.ok(!allows(rules, 0, 1, -1));
    assert.ok(allowsMove(rules, 0, 1, -1), 'one in the way is better than two');
    assert.ok(!allowsMove(rules, 3, 0, -1), 'not from none to three');
    assert.ok(allowsMove(rules, 3, 2, -1));
    placed(rules, 1, 1, -1);
    assert.ok(!allowsMove(rules, 0, 0, -1), 'as many in the way as before is no gain');
  });

  it('one rule said twice is one rule', () => {
    const twice = tagged(
      'skein:anti-affinity:must:web',
      'skein:anti-affinity:must:web@node',
      'skein:label:web',
    );
    const rules = rulesOf(
      smallCluster({
        nodes: racks,
        instances: [
          ['a', 'n1', twice],
          ['b', 'n2', twice],
        ],
      }),
    );
    assert.equal(violations(rules, 1, 0, -1), 1);
    assert.equal(violations(rules, 1, 1, -1), 0);
  });

  it('knows who cannot leave alone', () => {
    const rules = rulesOf(
      smallCluster({
        nodes: racks,
        instances: [
          ['a', 'n1', tagged('skein:affinity:must:x')],
          ['b', 'n1', tagged('skein:label:x', 'skein:affinity:must:y')],
          ['c', 'n1', tagged('skein:label:y')],
          ['d', 'n2', tagged('skein:affinity:must:z@rack')],
          ['e', 'n1', tagged('skein:label:z')],
        ],
      }),
    );
    assert.deepEqual(boundTo(rules, 0), [0, 1, 2]);
    assert.deepEqual(boundTo(rules, 2), [0, 1, 2]);
    assert.deepEqual(boundTo(rules, 3), [3]);
  });
});

describe('CPUs and memory of one’s own', () => {
  const policy = { ...default_policy, vcpu_ratio: 2 };
  const one = (node: object, instances: SmallCluster['instances'] = []): SmallCluster => ({
    nodes: [['n1', { total_cpus: 8, total_memory_mib: 16_384, ...node }]],
    instances,
    groups: [{ policy }],
  });
  const asks = (
    vcpus: number,
    memory_mib: number,
    ...tags: readonly string[]
  ): Partial<PlacementInstance> => ({
    ...nowhere,
    vcpus,
    memory_mib,
    tags,
  });
  const cases: readonly (readonly [string, SmallCluster, boolean])[] = [
    ['all CPUs to one', one({}, [['a', '', asks(8, 64, 'skein:cpu:exclusive')]]), true],
    ['more than there are', one({}, [['a', '', asks(9, 64, 'skein:cpu:exclusive')]]), false],
    [
      'the node’s own are not given away',
      one({ node_cpus: 1 }, [['a', '', asks(8, 64, 'skein:cpu:exclusive')]]),
      false,
    ],
    [
      'not where they are shared: 8 at two to one take 4',
      one({}, [
        ['a', 'n1', { vcpus: 8 }],
        ['b', '', asks(5, 64, 'skein:cpu:exclusive')],
      ]),
      false,
    ],
    [
      'beside shared ones',
      one({}, [
        ['a', 'n1', { vcpus: 8 }],
        ['b', '', asks(4, 64, 'skein:cpu:exclusive')],
      ]),
      true,
    ],
    [
      'whoever shares comes too late',
      one({}, [
        ['a', 'n1', { vcpus: 6, tags: ['skein:cpu:exclusive'] }],
        ['b', '', asks(5, 64)],
      ]),
      false,
    ],
    [
      'or not',
      one({}, [
        ['a', 'n1', { vcpus: 6, tags: ['skein:cpu:exclusive'] }],
        ['b', '', asks(4, 64)],
      ]),
      true,
    ],
    [
      'where all share, ratios are the engine’s own limit',
      {
        nodes: [['n0'], ['n1', { total_cpus: 8 }]],
        instances: [
          ['a', 'n0', { tags: ['skein:cpu:exclusive'] }],
          ['b', 'n1', { vcpus: 90 }],
          ['c', '', asks(1, 64, 'skein:node:must:n1')],
        ],
      },
      true,
    ],
    [
      'whole cores: 3 threads are two cores of two',
      one({ tags: ['skein:threads-per-core:2'] }, [
        ['a', 'n1', { vcpus: 3, tags: ['skein:cpu:exclusive'] }],
        ['b', '', asks(5, 64, 'skein:cpu:exclusive')],
      ]),
      false,
    ],
    [
      'one that is down keeps its CPUs',
      one({}, [
        ['a', 'n1', { vcpus: 8, tags: ['skein:cpu:exclusive'], status: 'ADMIN_down' }],
        ['b', '', asks(1, 64)],
      ]),
      false,
    ],
    [
      'one that is offline does not',
      one({}, [
        ['a', 'n1', { vcpus: 8, tags: ['skein:cpu:exclusive'], status: 'ADMIN_offline' }],
        ['b', '', asks(1, 64)],
      ]),
      true,
    ],
    [
      'whole NUMA nodes, by CPUs',
      one({ tags: ['skein:numa-nodes:2'] }, [
        ['a', 'n1', { vcpus: 4, tags: ['skein:numa:exclusive'] }],
        ['b', '', asks(5, 64, 'skein:numa:exclusive')],
      ]),
      false,
    ],
    [
      'whole NUMA nodes, by memory',
      one({ tags: ['skein:numa-nodes:2'] }, [
        ['a', 'n1', { vcpus: 1, tags: ['skein:numa:exclusive'] }],
        ['b', '', asks(1, 8_193, 'skein:numa:exclusive')],
      ]),
      false,
    ],
    [
      'two on two',
      one({ tags: ['skein:numa-nodes:2'] }, [
        ['a', 'n1', { vcpus: 4, tags: ['skein:numa:exclusive'] }],
        ['b', '', asks(4, 8_192, 'skein:numa:exclusive')],
      ]),
      true,
    ],
    [
      'others share what is left of the memory',
      one({ tags: ['skein:numa-nodes:2'] }, [
        ['a', 'n1', { vcpus: 4, tags: ['skein:numa:exclusive'] }],
        ['b', '', asks(1, 8_193)],
      ]),
      false,
    ],
  ];
  for (const [what, shape, expected] of cases)
    it(what, () => assert.equal(allowed(shape) === 'n1', expected));

  it('memory promised more than once, as the policy says', () => {
    const ratio = (memory_ratio: number, ...tags: readonly string[]): boolean =>
      allowed({
        nodes: [['n1', { total_memory_mib: 10_240, node_memory_mib: 240 }]],
        instances: [
          ['a', 'n1', { memory_mib: 8_000 }],
          ['down', 'n1', { memory_mib: 8_000, status: 'ADMIN_down' }],
          ['b', '', asks(1, 7_000, ...tags)],
        ],
        groups: [{ policy: { ...default_policy, memory_ratio } }],
      }) === 'n1';
    assert.ok(ratio(1.5));
    assert.ok(!ratio(1.49));
    assert.ok(ratio(1), 'at 1 it is the engine’s own limit');
    assert.ok(!ratio(2, 'skein:memory:exclusive'), '7000 for itself and 4000 for the other');
    assert.ok(ratio(3, 'skein:memory:exclusive'));
  });
});

describe('what rules cost', () => {
  const cluster = smallCluster({
    nodes: racks,
    instances: [
      ['a', 'n1', tagged('skein:anti-affinity:should:web')],
      ['b', 'n1', tagged('skein:anti-affinity:should:web')],
      ['c', 'n3', tagged('skein:affinity:should:web')],
      ['d', 'n1', tagged('skein:node:should:n2', 'skein:node:should:n3', 'skein:within:should:rack:r2')],
      ['e', 'n1 n2'],
    ],
    tags: ['skein:spread:should:rack'],
  });
  const rules = rulesOf(cluster);
  const costs = (instance: number, secondary = -1): readonly number[] =>
    cluster.nodes.map((_, node) => penalty(rules, instance, node, secondary));
  const { should, must } = rule_weights;

  it('soft ones', () => {
    // a keeps off b and c; c asks for a.
    assert.deepEqual(costs(0), [2 * should, 1 * should, 1 * should, 1 * should, 1 * should]);
    // c is with none, one or both of a and b; a and b keep off it.
    assert.deepEqual(costs(2), [2 * should, 2 * should, 2 * should, 2 * should, 2 * should]);
    assert.deepEqual(costs(3), [2 * should, 1 * should, 0, 1 * should, 2 * should]);
    assert.deepEqual(costs(4, 1), [should, should, 0, 0, should]);
    assert.equal(totalPenalty(rules), 1 + 2 + 2 + 1, 'a-b; c far from both; d; e');
  });

  it('hard ones cost, too, so that balancing mends them', () => {
    const broken = rulesOf(
      smallCluster({
        nodes: racks,
        instances: [
          ['a', 'n1', tagged('skein:anti-affinity:must:web@rack')],
          ['b', 'n2', tagged('skein:anti-affinity:must:web@rack')],
          ['c', 'n5', tagged('skein:anti-affinity:must:web@rack')],
        ],
      }),
    );
    assert.equal(penalty(broken, 0, 0, -1), must);
    assert.equal(totalPenalty(broken), 2 * must, 'a and b; the rack of c');
  });
});

describe('what is said of broken rules', () => {
  it('names the instance, the node, the rule and who is in the way', () => {
    const cluster = smallCluster({
      nodes: racks,
      instances: [
        ...['a', 'b', 'c', 'd'].map((name): [string, string, Partial<PlacementInstance>] => [
          name,
          'n1',
          tagged('skein:label:web'),
        ]),
        ['mine', 'n3', tagged('skein:cpu:exclusive', 'skein:label:mine')],
        [
          'new',
          '',
          {
            ...nowhere,
            vcpus: 99,
            tags: [
              'skein:anti-affinity:must:web@rack',
              'skein:affinity:should:web',
              'skein:node:must:n2',
              'skein:node:must:n3',
              'skein:spread:must:rack',
              'skein:cpu:exclusive',
            ],
          },
        ],
      ],
    });
    const rules = rulesOf(cluster);
    const texts = (node: number, secondary = -1): readonly string[] =>
      ruleFailures(rules, 5, node, secondary).map(({ text }) => text);
    assert.deepEqual(texts(0, 1), [
      'new cannot be on n1: skein:node:must:n2 or skein:node:must:n3: it is none of these',
      'new cannot be on n1: skein:anti-affinity:must:web@rack: a, b, c and 1 more are in rack r1',
      'new cannot be on n1: skein:spread:must:rack: its secondary n2 is in rack r1, the node in r1',
      'new cannot be on n1: skein:cpu:exclusive: 99 CPUs would be given away and 4 shared at 4 to one, of 16',
    ]);
    assert.match(
      texts(4).join('\n'),
      /new cannot be on n5: skein:anti-affinity:must:web@rack: it is not known what rack the node is in/,
    );
    assert.match(
      texts(2).join('\n'),
      /new should not be on n3: skein:affinity:should:web: a, b, c and 1 more are not there/,
    );
    const [first] = ruleFailures(rules, 5, 0, -1);
    assert.deepEqual(first, {
      instance: 'new',
      node: 'n1',
      strength: 'must',
      rule: 'skein:node:must:n2 or skein:node:must:n3',
      text: 'new cannot be on n1: skein:node:must:n2 or skein:node:must:n3: it is none of these',
    });
    assert.match(
      ruleFailures(rules, 5, 1, 4)[0]!.text,
      /new cannot be on n5: skein:node:must:n2 or skein:node:must:n3: it is none of these, and the instance may be failed over to it/,
    );
  });
});

describe('contradictions', () => {
  const both = (level_together: string, level_apart: string): SmallCluster => ({
    nodes: [
      ['n1', { tags: ['skein:domain:rack:r1'] }],
      ['n2', { tags: ['skein:domain:rack:r2'] }],
      ['n3', { tags: ['skein:domain:rack:r2'] }],
    ],
    tags: ['skein:domain:rack:r1:in:room:a', 'skein:domain:rack:r2:in:room:a'],
    instances: [
      [
        'a',
        'n1',
        tagged(`skein:affinity:must:x${level_together}`, `skein:anti-affinity:must:x${level_apart}`),
      ],
      ['b', 'n1', tagged('skein:label:x')],
    ],
  });
  const found: readonly (readonly [string, SmallCluster, readonly string[], readonly string[]])[] = [
    [
      'together and apart',
      both('', ''),
      ['instance a', 'instance b'],
      ['skein:affinity:must:x', 'skein:anti-affinity:must:x'],
    ],
    [
      'together on a node, apart in racks',
      both('', '@rack'),
      ['instance a', 'instance b'],
      ['skein:affinity:must:x', 'skein:anti-affinity:must:x@rack'],
    ],
    [
      'together in a rack, apart in rooms',
      both('@rack', '@room'),
      ['instance a', 'instance b'],
      ['skein:affinity:must:x@rack', 'skein:anti-affinity:must:x@room'],
    ],
    [
      'both of one instance alone',
      {
        nodes: [['n1']],
        instances: [['a', 'n1', tagged('skein:affinity:must:x', 'skein:anti-affinity:must:x')]],
      },
      ['instance a'],
      ['skein:affinity:must:x', 'skein:anti-affinity:must:x'],
    ],
    [
      'apart though both are with a third',
      {
        nodes: [['n1'], ['n2']],
        instances: [
          ['a', 'n1', tagged('skein:affinity:must:x', 'skein:anti-affinity:must:z')],
          ['b', 'n1', tagged('skein:label:x', 'skein:affinity:must:y')],
          ['c', 'n1', tagged('skein:label:y', 'skein:label:z')],
        ],
      },
      ['instance a', 'instance c'],
      ['skein:affinity:must:x', 'skein:affinity:must:y', 'skein:anti-affinity:must:z'],
    ],
    [
      'a node that there is not',
      { nodes: [['n1']], instances: [['a', 'n1', tagged('skein:node:must:n9')]] },
      ['instance a'],
      ['skein:node:must:n9'],
    ],
    [
      'a level that there is not',
      { nodes: [['n1']], instances: [['a', 'n1', tagged('skein:anti-affinity:should:x@rakc')]] },
      ['instance a'],
      ['skein:anti-affinity:should:x@rakc'],
    ],
    [
      'a domain that there is not',
      {
        nodes: [['n1', { tags: ['skein:domain:rack:r1'] }]],
        instances: [['a', 'n1', tagged('skein:within:should:rack:r2')]],
      },
      ['instance a'],
      ['skein:within:should:rack:r2'],
    ],
    [
      'a tag that cannot be read',
      { nodes: [['n1', { tags: ['skein:numa-nodes:none'] }]] },
      ['node n1'],
      ['skein:numa-nodes:none'],
    ],
    [
      'a node outside of the rack',
      { nodes: racks, instances: [['a', 'n1', tagged('skein:node:must:n1', 'skein:within:must:rack:r2')]] },
      ['instance a'],
      ['skein:node:must:n1', 'skein:within:must:rack:r2'],
    ],
    [
      'one node for two copies',
      { nodes: racks, instances: [['a', 'n1 n2', tagged('skein:node:must:n1')]] },
      ['instance a'],
      ['skein:node:must:n1'],
    ],
    [
      'one rack for two copies that are to be in two',
      {
        nodes: racks,
        instances: [['a', 'n1 n2', tagged('skein:within:must:rack:r1', 'skein:spread:must:rack')]],
      },
      ['instance a'],
      ['skein:within:must:rack:r1', 'skein:spread:must:rack'],
    ],
    [
      'together, on nodes that are not the same',
      {
        nodes: racks,
        instances: [
          ['a', 'n1', tagged('skein:affinity:must:x', 'skein:node:must:n1')],
          ['b', 'n2', tagged('skein:label:x', 'skein:node:must:n2')],
        ],
      },
      ['instance a', 'instance b'],
      ['skein:affinity:must:x', 'skein:node:must:n1', 'skein:node:must:n2'],
    ],
    [
      'two racks for one node',
      { nodes: [['n1', { tags: ['skein:domain:rack:r1', 'skein:domain:rack:r2'] }]] },
      ['node n1'],
      ['skein:domain:rack:r1', 'skein:domain:rack:r2'],
    ],
  ];
  for (const [what, shape, objects, tags] of found) {
    it(`${what}: both are named`, () => {
      const errors = errorsOf(shape);
      assert.equal(errors.length, 1, errors.map(({ text }) => text).join('\n'));
      assert.deepEqual([errors[0]!.objects, errors[0]!.tags], [objects, tags]);
      for (const tag of tags) assert.ok(errors[0]!.text.includes(tag), errors[0]!.text);
      for (const object of objects)
        assert.ok(errors[0]!.text.includes(object.split(' ')[1]!), errors[0]!.text);
    });
  }

  it('is not where both can be had', () => {
    assert.deepEqual(errorsOf(both('@rack', '')), [], 'one rack, two nodes');
    assert.deepEqual(errorsOf(both('@room', '@rack')), []);
    const soft: SmallCluster = {
      nodes: racks,
      instances: [
        ['a', 'n1', tagged('skein:affinity:must:x', 'skein:anti-affinity:should:x')],
        ['b', 'n1', tagged('skein:label:x', 'skein:node:must:n1', 'skein:node:must:n2')],
        ['c', 'n1', tagged('skein:label:x', 'skein:node:must:n2', 'skein:node:must:n3')],
      ],
    };
    assert.deepEqual(errorsOf(soft), []);
    const members: SmallCluster = {
      nodes: racks,
      instances: [
        ['a', 'n1', tagged('skein:label:x', 'skein:affinity:must:y')],
        ['b', 'n1', tagged('skein:label:x', 'skein:label:y')],
        ['c', 'n1', tagged('skein:anti-affinity:must:x')],
      ],
    };
    assert.deepEqual(errorsOf(members), [], 'a and b only have the label: neither keeps off the other');
  });

  it('unknown tags are told of, and harm nobody', () => {
    const compiled = compileRules(smallCluster({ nodes: [['n1', { tags: ['skein:colour:red'] }]] }));
    assert.ok('rules' in compiled && compiled.rules.empty);
    assert.match(compiled.warnings[0]!, /node n1 has the tag skein:colour:red/);
  });
});

/** Random clusters of pair rules, node rules and spread, without contradictions. */
const labels = ['x', 'y', 'z'];
const any_tag = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('affinity', 'anti-affinity'),
      fc.constantFrom('must', 'should'),
      fc.constantFrom(...labels),
      fc.constantFrom('', '@rack'),
    )
    .map(([kind, strength, label, level]) => `skein:${kind}:${strength}:${label}${level}`),
  fc.constantFrom(...labels).map((label) => `skein:label:${label}`),
  fc
    .tuple(fc.constantFrom('must', 'should'), fc.constantFrom('n1', 'n2', 'n3', 'n4'))
    .map(([strength, node]) => `skein:node:${strength}:${node}`),
  fc.constantFrom('must', 'should').map((strength) => `skein:within:${strength}:rack:r1`),
  fc.constantFrom('must', 'should').map((strength) => `skein:spread:${strength}:rack`),
);
const spot = fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: -1, max: 4 }));
const clusters = fc
  .array(fc.tuple(spot, fc.array(any_tag, { maxLength: 4 })), { minLength: 1, maxLength: 7 })
  .map((instances) =>
    smallCluster({
      nodes: racks,
      instances: instances.map(([[primary, secondary], tags], at) => [
        `i${at}`,
        '',
        { primary, secondary: secondary === primary ? -1 : secondary, template: 'rbd', tags },
      ]),
    }),
  )
  .filter((cluster) => 'rules' in compileRules(cluster));
const moves = fc.array(fc.tuple(fc.nat(6), fc.option(spot)), { maxLength: 20 });

/** The same cluster with its instances where the rules have them. */
function asPlaced(cluster: PlacementCluster, rules: PlacementRules): PlacementCluster {
  return {
    ...cluster,
    instances: cluster.instances.map((one, at) => ({
      ...one,
      primary: rules.primary[at]!,
      secondary: rules.secondary[at]!,
    })),
  };
}

/** Pairs that are broken with `instance` on `node`, counted one by one from the tags. */
function brokenPairsOf(
  cluster: PlacementCluster,
  rules: PlacementRules,
  instance: number,
  node: number,
): number {
  const rackOf = (at: number): string | undefined => cluster.nodes[at]!.tags[0];
  const labelsOf = (one: PlacementInstance): Set<string> =>
    new Set(
      one.tags.flatMap((tag) => {
        const parts = tag.split(':');
        if (parts[1] === 'label') return [parts[2]!];
        return parts[1]!.includes('affinity') ? [parts[3]!.split('@')[0]!] : [];
      }),
    );
  const asksOf = (one: PlacementInstance): Set<string> =>
    new Set(one.tags.filter((tag) => /^skein:(anti-)?affinity:must:/.test(tag)));
  let broken = 0;
  const me = cluster.instances[instance]!;
  const wanted = new Set(cluster.instances.flatMap((one) => [...asksOf(one)]));
  for (const tag of wanted) {
    const [label, level] = tag.split(':')[3]!.split('@') as [string, string | undefined];
    const i_ask = asksOf(me).has(tag);
    if (i_ask && level === 'rack' && rackOf(node) === undefined) broken += 1;
    cluster.instances.forEach((other, at) => {
      if (at === instance || rules.primary[at]! < 0) return;
      const concerned = i_ask
        ? labelsOf(other).has(label)
        : labelsOf(me).has(label) && asksOf(other).has(tag);
      if (!concerned) return;
      const there = rules.primary[at]!;
      const same = level === undefined ? there === node : rackOf(there) === rackOf(node);
      const known = level === undefined || rackOf(node) !== undefined;
      if (tag.startsWith('skein:anti') ? same : !same || !known) broken += 1;
    });
  }
  return broken;
}

describe('for any rules and moves', () => {
  it('answers are those of rules built anew', () => {
    fc.assert(
      fc.property(clusters, moves, (cluster, steps) => {
        const rules = rulesOf(cluster);
        const start = copyRules(rules);
        const before = totalPenalty(start);
        for (const [which, where] of steps) {
          const instance = which % cluster.instances.length;
          const total = totalPenalty(rules);
          const from = rules.primary[instance]!;
          const left = from < 0 ? 0 : penalty(rules, instance, from, rules.secondary[instance]!);
          if (where === null) removed(rules, instance);
          const [primary, secondary] = where ?? [-1, -1];
          const added = where === null ? 0 : penalty(rules, instance, primary, secondary);
          if (where !== null) placed(rules, instance, primary, secondary);
          assert.ok(
            Math.abs(totalPenalty(rules) - (total - left + added)) < 1e-9,
            'a move gains what it says',
          );
        }
        const anew = rulesOf(asPlaced(cluster, rules));
        assert.equal(totalPenalty(rules), totalPenalty(anew));
        for (let i = 0; i < cluster.instances.length; i++) {
          for (let node = 0; node < cluster.nodes.length; node++) {
            assert.equal(violations(rules, i, node, -1), violations(anew, i, node, -1));
            assert.equal(penalty(rules, i, node, 0), penalty(anew, i, node, 0));
          }
        }
        assert.equal(totalPenalty(start), before, 'a copy is a copy');
      }),
    );
  });

  it('counts as one would by hand, and says what it counts', () => {
    fc.assert(
      fc.property(clusters, moves, (cluster, steps) => {
        const rules = rulesOf(cluster);
        for (const [which, where] of steps) {
          const instance = which % cluster.instances.length;
          if (where === null) removed(rules, instance);
          else placed(rules, instance, ...where);
        }
        for (let i = 0; i < cluster.instances.length; i++) {
          for (let node = 0; node < cluster.nodes.length; node++) {
            const nodes = new Set(
              cluster.instances[i]!.tags.filter((tag) => tag.startsWith('skein:node:must:')).map((tag) =>
                tag.slice(16),
              ),
            );
            const inside = cluster.instances[i]!.tags.includes('skein:within:must:rack:r1');
            const outside =
              (nodes.size > 0 && !nodes.has(cluster.nodes[node]!.name)) ||
              (inside && cluster.nodes[node]!.tags[0] !== 'skein:domain:rack:r1');
            const by_hand = brokenPairsOf(cluster, rules, i, node) + (outside ? 1 : 0);
            assert.equal(violations(rules, i, node, -1), by_hand);
            const said = ruleFailures(rules, i, node, -1).filter(({ strength }) => strength === 'must');
            assert.equal(said.length > 0, by_hand > 0);
            assert.equal(allows(rules, i, node, -1), by_hand === 0);
            const soft = penalty(rules, i, node, -1) - rule_weights.must * by_hand;
            const all = ruleFailures(rules, i, node, -1);
            assert.equal(
              all.some(({ strength }) => strength === 'should'),
              soft > 0,
            );
          }
        }
      }),
    );
  });
});
