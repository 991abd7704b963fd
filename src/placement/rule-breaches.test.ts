/** What was broken before may stay so elsewhere; nothing else may be broken. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allBreaches, breaksMore } from './rule-breaches.ts';
import { compileRules } from './rules.ts';
import { type SmallCluster, smallCluster } from './test-small-cluster.ts';

const racks: SmallCluster['nodes'] = [
  ['n1', { tags: ['skein:domain:rack:r1'] }],
  ['n2', { tags: ['skein:domain:rack:r1'] }],
  ['n3', { tags: ['skein:domain:rack:r2'] }],
  ['n4', { total_cpus: 1 }],
];
const tagged = (...tags: readonly string[]): { readonly tags: readonly string[] } => ({ tags });

/** The nodes that the first instance may go to. @param secondary -1: none */
function mayGo(instances: SmallCluster['instances'] & {}, secondary = -1): string {
  const cluster = smallCluster({ nodes: racks, instances });
  const compiled = compileRules(cluster);
  assert.ok('rules' in compiled);
  const before = allBreaches(compiled.rules);
  return cluster.nodes
    .filter((_, node) => node !== secondary && !breaksMore(compiled.rules, before, 0, node, secondary))
    .map(({ name }) => name)
    .join(' ');
}

describe('what is broken by a move', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    [
      'nothing, where nothing was',
      mayGo([['a', 'n1', tagged('skein:node:must:n1', 'skein:node:must:n3')]]),
      'n1 n3',
    ],
    [
      'no more, where it was on the wrong node',
      mayGo([['a', 'n2', tagged('skein:node:must:n3')]]),
      'n1 n2 n3 n4',
    ],
    [
      'not by another in the way',
      mayGo([
        ['a', 'n1', tagged('skein:anti-affinity:must:x')],
        ['b', 'n1', tagged('skein:label:x')],
        ['c', 'n2', tagged('skein:label:x')],
      ]),
      'n1 n3 n4',
    ],
    [
      'not where no rack is known',
      mayGo([
        ['a', 'n1', tagged('skein:anti-affinity:must:x@rack')],
        ['b', 'n2', tagged('skein:label:x')],
      ]),
      'n1 n2 n3',
    ],
    [
      'copies that were in one rack may be in one',
      mayGo([['a', 'n1 n2', tagged('skein:spread:must:rack')]], 1),
      'n1 n3 n4',
    ],
    ['copies that were not must not', mayGo([['a', 'n3 n2', tagged('skein:spread:must:rack')]], 1), 'n3'],
    [
      'CPUs that were given twice may be',
      mayGo([['a', 'n4', { vcpus: 2, tags: ['skein:cpu:exclusive'] }]]),
      'n1 n2 n3 n4',
    ],
    [
      'those that were not must not',
      mayGo([['a', 'n1', { vcpus: 2, tags: ['skein:cpu:exclusive'] }]]),
      'n1 n2 n3',
    ],
    [
      'one broken rule is no leave to break another: nodes',
      mayGo([
        ['a', 'n1', tagged('skein:anti-affinity:must:x', 'skein:node:must:n1', 'skein:node:must:n3')],
        ['b', 'n1', tagged('skein:label:x')],
      ]),
      'n1 n3',
    ],
    [
      'two copies',
      mayGo(
        [
          ['a', 'n3 n2', tagged('skein:anti-affinity:must:x', 'skein:spread:must:rack')],
          ['b', 'n3', tagged('skein:label:x')],
        ],
        1,
      ),
      'n3',
    ],
    [
      'CPUs',
      mayGo([
        ['a', 'n1', { vcpus: 2, tags: ['skein:cpu:exclusive', 'skein:anti-affinity:must:x'] }],
        ['b', 'n1', tagged('skein:label:x')],
      ]),
      'n1 n2 n3',
    ],
  ];
  for (const [what, found, expected] of cases) it(what, () => assert.equal(found, expected));
});
