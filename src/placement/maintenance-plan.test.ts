/** What each instance does while its node is rebooted, in what time, and that all is as before in the end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generateCluster } from '../../bench/placement/generate.ts';
import type { DiskTemplate, PlacementCluster } from './cluster.ts';
import { type MaintenanceOptions, type MaintenancePlan, maintenancePlan } from './maintenance-plan.ts';
import { maintenanceLines } from './maintenance-text.ts';
import { rebootGroups } from './reboot-groups.ts';
import { compileRules } from './rules.ts';
import { clusterScore } from './score.ts';
import { buildTable, FAILS_N1, RESERVED_MEMORY, STRIDE, unallocatedMemory } from './table.ts';
import { everything } from './test-reboot-check.ts';
import { type SmallCluster, smallCluster } from './test-small-cluster.ts';

const today: MaintenanceOptions = {
  live_migration: new Set(),
  local_disks: 'stop',
  full_evacuation: false,
  bandwidth_mib_s: 100,
  reboot_s: 300,
  check_s: 20,
  stop_s: 10,
  start_s: 30,
  rules: null,
};
const all_live: ReadonlySet<DiskTemplate> = new Set(['drbd', 'rbd']);

/** Only the nodes tagged x are rebooted, all in one group unless they cannot be. */
function planOf(
  cluster: PlacementCluster,
  changes: Partial<MaintenanceOptions> = {},
  whole = false,
): MaintenancePlan {
  const table = buildTable(cluster);
  const options = { ...today, ...changes };
  const found = rebootGroups(table, {
    ...everything,
    node_tags: whole ? null : ['x'],
    non_redundant: 'ignore',
    rules: options.rules,
  });
  if ('failure' in found) throw new Error(found.failure);
  return maintenancePlan(table, found.groups, options);
}

/** Actions without drain and undrain, e.g. `failover i a>b`. */
function actionsOf(shape: SmallCluster, changes: Partial<MaintenanceOptions> = {}): readonly string[] {
  return planOf(smallCluster(shape), changes).groups.flatMap(({ steps }) =>
    steps.flatMap(({ action }) => {
      if (action.kind === 'drain' || action.kind === 'undrain') return [];
      const what = 'instance' in action ? ` ${action.instance.name}` : '';
      const where = 'from' in action ? `${action.from.name}>${action.to.name}` : action.node.name;
      return [`${action.kind}${what} ${where}`];
    }),
  );
}

function reasonsOf(shape: SmallCluster, changes: Partial<MaintenanceOptions> = {}): readonly string[] {
  return planOf(smallCluster(shape), changes).groups.flatMap(({ steps }) =>
    steps.flatMap(({ why }) => (why === null ? [] : [why])),
  );
}

const x = { tags: ['x'] };

describe('a maintenance plan', () => {
  const drbd: SmallCluster = { nodes: [['a', x], ['b'], ['c']], instances: [['i', 'a b']] };
  const shared: SmallCluster = {
    nodes: [['a', x], ['b'], ['c']],
    instances: [
      ['i', 'a'],
      ['j', 'b'],
    ],
  };
  const plain: SmallCluster = {
    nodes: [['a', x], ['b'], ['c']],
    instances: [['i', 'a', { template: 'plain', disk_mib: 5_000 }]],
  };
  const cases: readonly (readonly [string, SmallCluster, Partial<MaintenanceOptions>, readonly string[]])[] =
    [
      ['an empty node', { nodes: [['a', x]] }, {}, ['reboot a', 'check a']],
      ['drbd goes to its secondary', drbd, {}, ['failover i a>b', 'reboot a', 'check a', 'failover i b>a']],
      [
        'drbd, while it runs',
        drbd,
        { live_migration: all_live },
        ['migrate i a>b', 'reboot a', 'check a', 'migrate i b>a'],
      ],
      [
        'shared disks: to where it is best',
        shared,
        {},
        ['failover i a>c', 'reboot a', 'check a', 'failover i c>a'],
      ],
      [
        'shared disks, while it runs',
        shared,
        { live_migration: all_live },
        ['migrate i a>c', 'reboot a', 'check a', 'migrate i c>a'],
      ],
      ['disks on the node: it is stopped', plain, {}, ['stop i a', 'reboot a', 'check a', 'start i a']],
      [
        'disks on the node: they are copied',
        plain,
        { local_disks: 'copy' },
        ['copy i a>b', 'reboot a', 'check a', 'copy i b>a'],
      ],
      [
        'what is down stays',
        { nodes: [['a', x], ['b']], instances: [['i', 'a b', { status: 'ADMIN_down' }]] },
        {},
        ['reboot a', 'check a'],
      ],
      [
        'a reservation is nobody',
        { nodes: [['a', x], ['b']], instances: [['i', 'a b', { forthcoming: true }]] },
        {},
        ['reboot a', 'check a'],
      ],
      [
        'nowhere to go: it is stopped',
        {
          nodes: [
            ['a', x],
            ['b', { total_memory_mib: 512 }],
          ],
          instances: [['i', 'a']],
        },
        {},
        ['stop i a', 'reboot a', 'check a', 'start i a'],
      ],
      [
        'a secondary that is offline is no place to go to',
        {
          nodes: [
            ['a', x],
            ['b', { offline: true }],
          ],
          instances: [['i', 'a b']],
        },
        {},
        ['stop i a', 'reboot a', 'check a', 'start i a'],
      ],
      [
        'second copies leave, if that was asked for; the last that left comes back first',
        {
          nodes: [['a', x], ['b'], ['c']],
          instances: [
            ['i', 'a b'],
            ['j', 'b a'],
          ],
        },
        { full_evacuation: true },
        [
          'failover i a>b',
          'replace-secondary i a>c',
          'replace-secondary j a>c',
          'reboot a',
          'check a',
          'replace-secondary j c>a',
          'replace-secondary i c>a',
          'failover i b>a',
        ],
      ],
      [
        'who acts as master hands over first',
        { nodes: [['a', { ...x, master: true }], ['b']] },
        {},
        ['hand-over a', 'reboot a', 'check a'],
      ],
      [
        'several at a time, never to each other',
        {
          nodes: [['a', x], ['b', x], ['c']],
          instances: [
            ['i', 'a'],
            ['j', 'b'],
          ],
        },
        {},
        [
          'failover i a>c',
          'failover j b>c',
          'reboot a',
          'reboot b',
          'check a',
          'check b',
          'failover j c>b',
          'failover i c>a',
        ],
      ],
      [
        'not to another group of nodes',
        {
          nodes: [['a', x], ['b'], ['c', { group: 1 }]],
          instances: [
            ['i', 'a'],
            ['j', 'b', { memory_mib: 8_000 }],
          ],
          groups: [{ name: 'g' }, { name: 'h' }],
        },
        {},
        ['failover i a>b', 'reboot a', 'check a', 'failover i b>a'],
      ],
      [
        'second copies: not onto the first one, and not more than there is room for',
        {
          nodes: [['a', x], ['b', { free_disk_mib: 1_500 }], ['c'], ['d', { free_disk_mib: 1_500 }]],
          instances: [
            ['i', 'c a'],
            ['j', 'c a'],
            ['k', 'c a'],
          ],
        },
        { full_evacuation: true },
        [
          'replace-secondary i a>b',
          'replace-secondary j a>d',
          'reboot a',
          'check a',
          'replace-secondary j d>a',
          'replace-secondary i b>a',
        ],
      ],
      [
        'to where no soft limit is broken, though it would be emptier elsewhere',
        {
          nodes: [['a', x], ['b'], ['c']],
          instances: [
            ['reserved', 'b', { memory_mib: 15_500, forthcoming: true }],
            ['large', 'c', { memory_mib: 15_000 }],
            ['i', 'a'],
          ],
        },
        {},
        ['failover i a>c', 'reboot a', 'check a', 'failover i c>a'],
      ],
    ];
  for (const [what, shape, options, expected] of cases)
    it(what, () => assert.deepEqual(actionsOf(shape, options), expected));

  it('says why it is not better', () => {
    const not_live = 'live migration of drbd is not there yet';
    assert.deepEqual(reasonsOf(drbd), [not_live, '1 instance has no second copy meanwhile', not_live]);
    assert.deepEqual(reasonsOf(drbd, { live_migration: all_live }), [
      '1 instance has no second copy meanwhile',
    ]);
    assert.deepEqual(reasonsOf(plain), ['the disks of template plain are on this node only']);
    assert.match(
      reasonsOf({
        nodes: [
          ['a', x],
          ['b', { total_memory_mib: 512 }],
        ],
        instances: [['i', 'a']],
      })[0]!,
      /no node has room \(FailMem: 1\)/,
    );
    assert.match(reasonsOf({ nodes: [['a', x]], instances: [['i', 'a']] })[0]!, /no other node of its group/);
    assert.match(
      reasonsOf({
        nodes: [
          ['a', x],
          ['b', { offline: true }],
        ],
        instances: [['i', 'a b']],
      })[0]!,
      /its secondary b is offline/,
    );
    assert.match(
      reasonsOf({
        nodes: [
          ['a', x],
          ['b', { total_memory_mib: 512 }],
        ],
        instances: [['i', 'a b']],
      })[0]!,
      /b has no room \(FailMem\)/,
    );
    const hypervisors: SmallCluster = {
      nodes: [
        ['a', { tags: ['x', 'hv:new'] }],
        ['b', { tags: ['hv:old'] }],
      ],
      tags: ['htools:migration:hv'],
      instances: [['i', 'a b']],
    };
    assert.match(reasonsOf(hypervisors, { live_migration: all_live })[0]!, /b has no room \(FailMig\)/);
    assert.equal(reasonsOf(hypervisors)[0], not_live, 'stopped, it may');
  });

  it('knows what goes over the network, and how long all takes', () => {
    const shape: SmallCluster = {
      nodes: [['a', x], ['b', x], ['c'], ['d']],
      instances: [
        ['i', 'a c', { memory_mib: 2_000, disk_mib: 10_000 }],
        ['j', 'b d', { memory_mib: 1_000 }],
        ['k', 'd a', { disk_mib: 5_000 }],
      ],
    };
    const figures = (changes: Partial<MaintenanceOptions>): object => {
      const { groups, mib, seconds, down_s } = planOf(smallCluster(shape), changes);
      return { groups: groups.length, mib, seconds, down_s };
    };
    // There and back 40 s each for a and for b at the same time, then the reboot, and the check.
    assert.deepEqual(figures({}), { groups: 1, mib: 0, seconds: 40 + 300 + 20 + 40, down_s: 4 * 40 });
    assert.deepEqual(figures({ live_migration: all_live }), {
      groups: 1,
      mib: 2 * 3_000,
      seconds: 20 + 320 + 20,
      down_s: 0,
    });
    const copied = planOf(
      smallCluster({
        nodes: [['a', x], ['b']],
        instances: [['i', 'a', { template: 'plain', disk_mib: 5_000 }]],
      }),
      { local_disks: 'copy' },
    );
    assert.deepEqual(
      [copied.mib, copied.seconds, copied.down_s],
      [10_000, 2 * (10 + 50 + 30) + 320, 2 * (10 + 50 + 30)],
    );
    const stopped = planOf(smallCluster(plain));
    assert.deepEqual([stopped.mib, stopped.seconds, stopped.down_s], [0, 10 + 320 + 30, 10 + 320 + 30]);
  });

  it('predicts the load of each step', () => {
    const cluster = smallCluster({
      nodes: [['a', x], ['b'], ['c', { total_memory_mib: 8_000 }]],
      instances: [
        ['i', 'a b', { memory_mib: 9_000 }],
        ['j', 'b c', { memory_mib: 4_000 }],
        ['k', 'c b', { memory_mib: 4_000 }],
      ],
    });
    const table = buildTable(cluster);
    const plan = planOf(cluster);
    assert.equal(plan.before.score, clusterScore(table, [0, 1, 2]));
    const { steps } = plan.groups[0]!;
    const scores = steps.map(({ load }) => load.score);
    const at = (kind: string): number => steps.findIndex(({ action }) => action.kind === kind);
    assert.notEqual(scores[at('failover')], scores[at('drain')]);
    assert.ok(scores[at('reboot')]! > scores[at('drain')]!, 'a node less, and a copy on it');
    assert.equal(scores.at(-1), plan.before.score, 'as before');
    assert.deepEqual([steps[at('drain')]!.load.n1_failures, steps[at('reboot')]!.load.n1_failures], [0, 1]);
    const alone = planOf(smallCluster({ nodes: [['a', x]] }));
    assert.equal(alone.groups[0]!.steps[1]!.load.score, null, 'no node is there');
  });

  it('keeps hard rules, or stops what cannot', () => {
    const idle = { status: 'ADMIN_down', utilisation: { cpu: 0, memory: 0, disk: 0, net: 0 } } as const;
    const shape: SmallCluster = {
      nodes: [['a', x], ['b'], ['c'], ['d'], ['e', { offline: true }]],
      instances: [
        ['i', 'a', { tags: ['skein:anti-affinity:must:web'] }],
        ['j', 'b', { tags: ['skein:label:web'], ...idle }],
        ['k', 'a', { tags: ['skein:affinity:must:app', 'skein:node:should:d'] }],
        ['l', 'a', { tags: ['skein:affinity:must:app'] }],
        ['m', 'a b', { tags: ['skein:anti-affinity:must:db'] }],
        ['n', 'b', { tags: ['skein:label:db'], ...idle }],
        ['o', 'a e', { tags: ['skein:label:pair'] }],
        ['p', 'a', { tags: ['skein:affinity:must:pair'] }],
        ['there', 'c', { memory_mib: 6_000 }],
        ['there-too', 'd', { memory_mib: 9_000 }],
      ],
    };
    const compiled = compileRules(smallCluster(shape));
    assert.ok('rules' in compiled);
    const { rules } = compiled;
    assert.deepEqual(actionsOf(shape, { rules }).slice(0, 6), [
      'stop m a',
      'stop o a',
      'failover i a>c',
      'failover k a>d',
      'failover l a>d',
      'stop p a',
    ]);
    const reasons = reasonsOf(shape, { rules });
    assert.match(reasons[0]!, /m cannot be on b: skein:anti-affinity:must:db: n is there/);
    assert.match(reasons[5]!, /no node has room \(its rules: 3\)/);
    assert.equal(actionsOf(shape)[2], 'failover i a>b', 'where the rules do not count');
  });

  it('an instance whose two nodes are rebooted at the same time is stopped', () => {
    const cluster = smallCluster({ nodes: [['a'], ['b'], ['c']], instances: [['i', 'a b']] });
    const { steps } = maintenancePlan(buildTable(cluster), [{ nodes: [0, 1], moves: [] }], today).groups[0]!;
    const stop = steps.find(({ action }) => action.kind === 'stop')!;
    assert.match(stop.why!, /its secondary b is rebooted at the same time/);
  });

  it('a reservation’s copies are nobody’s', () => {
    const reserved: SmallCluster = {
      nodes: [['a', x], ['b']],
      instances: [['i', 'b a', { forthcoming: true }]],
    };
    assert.deepEqual(reasonsOf(reserved), []);
    assert.deepEqual(actionsOf(reserved, { full_evacuation: true }), ['reboot a', 'check a']);
  });

  it('takes the moves that made the group where its own choice strands somebody', () => {
    // small and large fit into c and b only if the small one does not take the room of the large one.
    const cluster = smallCluster({
      nodes: [
        ['a', x],
        ['b', { total_memory_mib: 5_000 }],
        ['c', { total_memory_mib: 2_500 }],
        ['d', { total_memory_mib: 1_200 }],
      ],
      instances: [
        ['small', 'a', { memory_mib: 2_000 }],
        ['large', 'a', { memory_mib: 4_000 }],
        ['odd', 'a', { memory_mib: 1_100 }],
      ],
    });
    const moves = [
      { instance: 0, primary: 2, secondary: -1 },
      { instance: 1, primary: 1, secondary: -1 },
      // Where there is no room, as there may not be once instances have gone to their secondaries.
      { instance: 2, primary: 1, secondary: -1 },
    ];
    const firstSteps = (given: typeof moves): readonly string[] =>
      maintenancePlan(buildTable(cluster), [{ nodes: [0], moves: given }], today)
        .groups[0]!.steps.slice(1, 4)
        .map(({ action }) => `${action.kind} ${'to' in action ? action.to.name : ''}`);
    assert.deepEqual(firstSteps(moves), ['failover c', 'failover b', 'failover d']);
    assert.ok(firstSteps([]).includes('stop '));
  });

  it('reads well', () => {
    const lines = maintenanceLines(planOf(smallCluster(drbd)));
    assert.deepEqual(
      lines.map((line) => line.replace(/score \d+\.\d{8}/, 'score S')),
      [
        'before: score S',
        'group 1 of 1: a, about 7 min',
        '  drain a: score S',
        '  failover i a -> b: 40 s, down for 40 s, score S',
        '    live migration of drbd is not there yet',
        '  reboot a: 5 min, score S',
        '    1 instance has no second copy meanwhile',
        '  check a: 20 s, score S',
        '  failover i b -> a: 40 s, down for 40 s, score S',
        '    live migration of drbd is not there yet',
        '  undrain a: score S',
        'in all: about 7 min, 0 MiB over the network, instances down for 80 s in sum',
      ],
    );
  });
});

describe('for any cluster', () => {
  it('nothing runs on a node that is rebooted, and all is back in the end', () => {
    const shapes = fc.record({
      nodes: fc.integer({ min: 2, max: 10 }),
      instances: fc.integer({ min: 0, max: 40 }),
      seed: fc.nat(1_000_000),
      templates: fc.constant<readonly DiskTemplate[]>(['drbd', 'plain', 'rbd', 'diskless']),
      offline: fc.constantFrom(0, 0.2),
      down: fc.constantFrom(0, 0.3),
      forthcoming: fc.constantFrom(0, 0.1),
      fill: fc.constantFrom(0.2, 0.5, 0.8),
    });
    const options = fc.record({
      live_migration: fc.constantFrom(new Set<DiskTemplate>(), new Set<DiskTemplate>(['drbd', 'rbd'])),
      local_disks: fc.constantFrom('stop' as const, 'copy' as const),
      full_evacuation: fc.boolean(),
    });
    let planned = 0;
    fc.assert(
      fc.property(shapes, options, (shape, changes) => {
        const cluster = generateCluster(shape);
        const before = structuredClone(cluster);
        const table = buildTable(cluster);
        const found = rebootGroups(table, { ...everything, non_redundant: 'ignore' });
        if ('failure' in found) return;
        planned += 1;
        const plan = maintenancePlan(table, found.groups, { ...today, ...changes });
        assert.deepEqual(cluster, before);
        assert.equal(plan.groups.length, found.groups.length);
        const nodeOf = new Map(cluster.nodes.map(({ name }, at) => [name, at]));
        const instanceOf = new Map(cluster.instances.map(({ name }, at) => [name, at]));
        for (const { nodes, steps } of plan.groups) {
          const away = new Set(nodes.map(({ name }) => nodeOf.get(name)!));
          const primary = cluster.instances.map((one) => one.primary);
          const secondary = cluster.instances.map((one) => one.secondary);
          const runs = cluster.instances.map((one) => one.status === 'running' && !one.forthcoming);
          for (const { action } of steps) {
            if (action.kind === 'reboot') {
              const left = cluster.instances.filter((_, i) => runs[i] && away.has(primary[i]!));
              assert.deepEqual(
                left.map(({ name }) => name),
                [],
              );
            }
            if (action.kind === 'stop' || action.kind === 'start')
              runs[instanceOf.get(action.instance.name)!] = action.kind === 'start';
            if (!('from' in action)) continue;
            const i = instanceOf.get(action.instance.name)!;
            const [from, to] = [nodeOf.get(action.from.name)!, nodeOf.get(action.to.name)!];
            if (action.kind === 'replace-secondary') {
              assert.equal(secondary[i], from);
              secondary[i] = to;
            } else {
              assert.equal(primary[i], from);
              primary[i] = to;
              if (secondary[i]! >= 0) {
                assert.equal(secondary[i], to, 'it goes where its other copy is');
                secondary[i] = from;
              }
            }
          }
          cluster.instances.forEach((one, i) => {
            assert.deepEqual([primary[i], secondary[i]], [one.primary, one.secondary], one.name);
            assert.equal(runs[i], one.status === 'running' && !one.forthcoming);
          });
          const last = steps.at(-1)!.load.score;
          // As in Ganeti, a node that has no more free than it reserves may be called sound until anything on it changes.
          const on_the_edge = cluster.nodes.some(
            (_, node) =>
              table.state[node * STRIDE + FAILS_N1] === 0 &&
              unallocatedMemory(table, node) <= table.state[node * STRIDE + RESERVED_MEMORY]!,
          );
          if (on_the_edge) continue;
          if (plan.before.score === null) assert.equal(last, null);
          else assert.ok(Math.abs(last! - plan.before.score) < 1e-9);
        }
      }),
      { numRuns: 150 },
    );
    assert.ok(planned > 100);
  });
});
