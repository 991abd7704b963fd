/**
 * Rules by tags in all that moves and places instances: no step breaks a hard one that was not broken before, the score
 * that follows is the one worked out from nothing, and the cluster is never written to.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generateCluster } from '../../bench/placement/generate.ts';
import { runAllocator } from './allocator.ts';
import { balance, default_balance, nodesOfGroup } from './balance.ts';
import { measureCapacity } from './cluster-capacity.ts';
import { evacuate } from './evacuate.ts';
import type { EvacuationMode, WantedInstance } from './iallocator-format.ts';
import { splitJobsets } from './jobsets.ts';
import { type MoveKind, tryMove } from './moves.ts';
import { allBreaches } from './rule-breaches.ts';
import { boundTo, totalPenalty } from './rules.ts';
import { clusterScore, currentScore, enter, leave, openScore, rulePenalty } from './score.ts';
import { buildTable, FITS, mark, type Table, undoTo } from './table.ts';
import { cluster as clusterOf, group, instance, node, wide_policy } from './test-allocation.ts';
import { cluster_requests, frozen } from './test-requests.ts';
import { newBreaches, rulesNow, rulesOrNull, tag_requests, withRuleTags } from './test-rule-tags.ts';

/** A generated cluster with rules that do not contradict each other, and its table. */
const ruledBy = (tag_request: typeof tag_requests) =>
  fc
    .tuple(cluster_requests, tag_request)
    .map(([request, tags]) => frozen(withRuleTags(generateCluster(request), tags)))
    .filter((cluster) => rulesOrNull(cluster) !== null);
const ruled = ruledBy(tag_requests);
/** Many that cannot leave alone, and little else to keep them. */
const bound_together = ruledBy(tag_requests.map((tags) => ({ ...tags, tagged: 0.1, bound: 0.4 })));

/** Instance, kind and target: indexes, modulo what there is. */
const random_moves = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 5 }), fc.nat()), {
  minLength: 20,
  maxLength: 60,
});

function tableOf(cluster: Parameters<typeof buildTable>[0]): Table {
  return buildTable(cluster, { rules: rulesOrNull(cluster) });
}

describe('rules by tags', () => {
  it('are in a score that follows any moves, to the bit, and back', () => {
    let moves = 0;
    fc.assert(
      fc.property(ruled, random_moves, (cluster, tried) => {
        const table = tableOf(cluster);
        const nodes = nodesOfGroup(table, 0);
        const score = openScore(table, nodes);
        const start = mark(table);
        const first = rulePenalty(table);
        for (const [which, kind, where] of tried) {
          const moved = which % cluster.instances.length;
          const target = where % cluster.nodes.length;
          const [primary, secondary] = [table.primary[moved]!, table.secondary[moved]!];
          if (target === primary || target === secondary) continue;
          const mirrored = table.demands[moved]!.mirrored;
          if (mirrored && (secondary < 0 || kind === 1)) continue;
          const involved = [primary, secondary, target].filter((at) => nodes.includes(at));
          for (const at of involved) leave(score, table, at);
          const failure = tryMove(table, moved, mirrored ? (kind as MoveKind) : 1, target, true);
          for (const at of involved) enter(score, table, at);
          if (failure === FITS) moves += 1;
          assert.equal(rulePenalty(table), totalPenalty(rulesNow(cluster, table)));
          const whole = clusterScore(table, nodes);
          if (Number.isFinite(whole)) assert.ok(Math.abs(currentScore(score) - whole) < 1e-6 * (1 + whole));
        }
        undoTo(table, start);
        assert.equal(rulePenalty(table), first);
      }),
      { numRuns: 60 },
    );
    assert.ok(moves > 100, `${moves} moves were made`);
  });

  it('are kept by every step of balancing, and by the steps of a set in any order', () => {
    let steps = 0;
    fc.assert(
      fc.property(ruled, (cluster) => {
        const table = tableOf(cluster);
        const before = allBreaches(rulesNow(cluster, table));
        const replay = { primary: table.primary.slice(), secondary: table.secondary.slice() };
        const made = [...balance(table, nodesOfGroup(table, 0), { ...default_balance, max_moves: 12 })];
        for (const set of splitJobsets(made, table.rules?.rules ?? null)) {
          for (const order of [set.toReversed(), set]) {
            const kept = { primary: replay.primary.slice(), secondary: replay.secondary.slice() };
            for (const { instance: moved, primary, secondary } of order) {
              replay.primary[moved] = primary;
              replay.secondary[moved] = secondary;
              assert.deepEqual(newBreaches(before, rulesNow(cluster, replay)), []);
            }
            if (order !== set) Object.assign(replay, kept);
          }
          steps += set.length;
        }
      }),
      { numRuns: 80 },
    );
    assert.ok(steps > 100, `${steps} steps were made`);
  });

  it('are kept by evacuation, where those that are bound to each other leave together', () => {
    let moved = 0;
    let together = 0;
    const modes: readonly EvacuationMode[] = ['primary-only', 'secondary-only', 'all'];
    fc.assert(
      fc.property(
        fc.oneof(ruled, bound_together),
        fc.nat(),
        fc.constantFrom(...modes),
        fc.boolean(),
        (cluster, which, mode, force) => {
          const table = tableOf(cluster);
          const left = which % cluster.nodes.length;
          const here = cluster.instances.flatMap(({ primary, secondary }, at) =>
            (mode === 'secondary-only' ? secondary : primary) === left ? [at] : [],
          );
          const rules = rulesNow(cluster, table);
          const before = allBreaches(rules);
          const evacuation = evacuate(table, here, mode, force);
          assert.deepEqual(newBreaches(before, rulesNow(cluster, table)), []);
          assert.equal(rulePenalty(table), totalPenalty(rulesNow(cluster, table)));
          const gone = new Set(evacuation.moved.map((one) => one.instance));
          moved += gone.size;
          if (mode === 'secondary-only') return;
          for (const at of gone) {
            const bound = boundTo(rules, at).filter((other) => table.primary[other]! >= 0);
            if (bound.length > 1 && before.get(at) === undefined) {
              together += 1;
              // By way of one that was not with them before, it may be bound to others that are elsewhere.
              const with_it = bound.filter((other) => here.includes(other));
              assert.ok(with_it.every((other) => gone.has(other) || before.has(other)));
            }
          }
        },
      ),
      { numRuns: 200 },
    );
    assert.ok(moved > 100 && together > 0, `${moved} left, ${together} of them in company`);
  });

  it('are kept by allocation, by relocation and by a change of group', () => {
    let placed = 0;
    fc.assert(
      fc.property(ruled, tag_requests, fc.boolean(), (cluster, tags, mirrored) => {
        const names = ['x1', 'x2', 'x3', 'x4'];
        const fresh = names.map((name) =>
          instance(name, { template: mirrored ? 'drbd' : 'ext', memory_mib: 256, disk_mib: 1024 }),
        );
        const wanted = withRuleTags({ ...cluster, instances: fresh }, { ...tags, tagged: 1 }).instances;
        if (rulesOrNull({ ...cluster, instances: [...cluster.instances, ...wanted] }) === null) return;
        const before = allBreaches(rulesNow(cluster, tableOf(cluster)));
        const all: readonly WantedInstance[] = wanted.map((one) => ({
          instance: one,
          node_count: mirrored ? 2 : 1,
          group: null,
        }));
        const judge = (outcome: ReturnType<typeof runAllocator>, waiting: typeof wanted): void => {
          const now = rulesNow(cluster, outcome.table, waiting);
          assert.deepEqual(newBreaches(before, now), []);
          if (outcome.table.rules !== null) assert.equal(rulePenalty(outcome.table), totalPenalty(now));
        };
        const options = { capacity_checks: false };
        for (const one of all) {
          const outcome = runAllocator(
            { cluster, request: { type: 'allocate', wanted: one, restrict_to: null } },
            options,
          );
          judge(outcome, [one.instance]);
          if (outcome.answer.success) placed += 1;
        }
        judge(runAllocator({ cluster, request: { type: 'multi-allocate', wanted: all } }, options), wanted);
        const moved = cluster.instances.flatMap((_, at) => (at < 4 ? [at] : []));
        judge(
          runAllocator({ cluster, request: { type: 'change-group', instances: moved, target_groups: [] } }),
          [],
        );
        for (const at of moved) {
          const { template, primary, secondary } = cluster.instances[at]!;
          const from = [template === 'drbd' ? secondary : primary];
          judge(
            runAllocator({ cluster, request: { type: 'relocate', instance: at, node_count: 1, from } }),
            [],
          );
        }
      }),
      { numRuns: 60 },
    );
    assert.ok(placed > 50, `${placed} were placed`);
  });

  it('are kept by what measures how much more there is room for', () => {
    fc.assert(
      fc.property(ruled, fc.constantFrom('drbd', 'ext'), (cluster, template) => {
        const before = allBreaches(rulesNow(cluster, tableOf(cluster)));
        const found = measureCapacity(tableOf(cluster), { template, accept_existing: true, limit: 6 });
        if (typeof found === 'string') return;
        for (const { placed, table } of [found.standard, found.tiered]) {
          const fresh = placed.map(({ size, primary, secondary }, at) =>
            instance(`new${at}`, { ...size, template, primary, secondary }),
          );
          const all = {
            primary: [...table.primary, ...fresh.map(({ primary }) => primary)],
            secondary: [...table.secondary, ...fresh.map(({ secondary }) => secondary)],
          };
          assert.deepEqual(newBreaches(before, rulesNow(cluster, all as never, fresh)), []);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('rules by tags, in small', () => {
  const racks = ['r1', 'r1', 'r2', 'r2'].map((rack, at) =>
    node(`n${at + 1}`, { tags: [`skein:domain:rack:${rack}`] }),
  );
  const web = (name: string, primary: number, secondary = -1) =>
    instance(name, {
      template: secondary < 0 ? 'ext' : 'drbd',
      primary,
      secondary,
      tags: ['skein:anti-affinity:must:web@rack'],
    });
  const answer = (cluster: ReturnType<typeof clusterOf>, wanted: ReturnType<typeof instance>) =>
    runAllocator({
      cluster,
      request: {
        type: 'allocate',
        wanted: { instance: wanted, node_count: wanted.template === 'drbd' ? 2 : 1, group: null },
        restrict_to: null,
      },
    }).answer;

  it('an allocation that no node is allowed for says why', () => {
    const cluster = clusterOf(racks, [web('web1', 0), web('web2', 2)]);
    const refused = answer(cluster, { ...web('web3', -1), tags: ['skein:anti-affinity:must:web@rack'] });
    assert.equal(refused.success, false);
    assert.match(
      refused.info,
      /FailRule: 4; web3 cannot be on n1: skein:anti-affinity:must:web@rack: web1 is in rack r1/,
    );
  });

  it('an instance that rules keep down when its node dies does not stop others from being placed', () => {
    const cluster = clusterOf([racks[0]!, racks[2]!], [web('web1', 0), web('web2', 1)]);
    assert.equal(answer(cluster, instance('other', { template: 'ext' })).success, true);
  });

  it('room that an instance may not restart in is none', () => {
    const tags = ['skein:node:must:n1', 'skein:node:must:n2'];
    const place = (own: readonly string[]) =>
      answer(
        clusterOf(racks, [
          instance('held', { template: 'ext', primary: 0, memory_mib: 8_000, tags: own }),
          instance('full', { template: 'ext', primary: 1, memory_mib: 12_000 }),
        ]),
        instance('other', { template: 'ext' }),
      );
    assert.equal(place([]).success, true);
    const refused = place(tags);
    assert.equal(refused.success, false);
    assert.match(refused.info, /FailN1/);
  });

  it('CPUs that one has for itself are room for nobody else', () => {
    const size = { memory_mib: 128, disk_mib: 1024, vcpus: 8, spindles: 1 };
    const count = (tags: readonly string[]) => {
      const cluster = clusterOf(
        [node('n1')],
        [instance('own', { template: 'ext', primary: 0, vcpus: 8, tags })],
      );
      const options = { template: 'ext', standard: size, tiered: size, capacity_checks: false } as const;
      const found = measureCapacity(tableOf(cluster), options);
      return typeof found === 'string' ? found : found.standard.placed.length;
    };
    assert.equal(count([]), 7, '16 CPUs, four to one, without 8');
    assert.equal(count(['skein:cpu:exclusive']), 4, '8 CPUs, four to one');
  });

  it('a step that makes room for another, by a rule, is in a set before it', () => {
    const cluster = clusterOf(racks, [web('web1', 0), web('web2', 2), web('web3', 3)]);
    const step = (moved: number, old_primary: number, primary: number) => ({
      ...{ instance: moved, old_primary, primary, kind: 1 as const, target: primary },
      ...{ old_secondary: -1, secondary: -1, score: 0 },
    });
    const steps = [step(0, 0, 2), step(1, 3, 1)];
    assert.equal(splitJobsets(steps).length, 1);
    assert.equal(splitJobsets(steps, rulesOrNull(cluster)).length, 2);
  });

  it('an instance goes where it is wanted, of nodes that will do', () => {
    const near = instance('near', { template: 'ext', tags: ['skein:node:should:n3'] });
    const cluster = clusterOf(racks);
    assert.deepEqual(answer(cluster, near).result, ['n3']);
    assert.notDeepEqual(answer(cluster, { ...near, tags: [] }).result, ['n3']);
  });

  it('two copies go to two racks where the cluster says so', () => {
    const cluster = clusterOf(racks, [], { tags: ['skein:spread:must:rack'] });
    const { success, result } = answer(cluster, instance('copied', {}));
    assert.ok(success);
    const [one, other] = result as readonly string[];
    assert.notEqual(one === 'n1' || one === 'n2', other === 'n1' || other === 'n2');
  });

  it('memory may be promised more than once where the policy says so, and only then', () => {
    const policy = { ...wide_policy, memory_ratio: 1.5 };
    const full = racks.map((_, at) =>
      instance(`full${at}`, { template: 'ext', primary: at, memory_mib: 12_000 }),
    );
    const wanted = instance('more', { template: 'ext', memory_mib: 8_000 });
    const place = (ratio: boolean) =>
      answer(clusterOf(racks, full, ratio ? { policy, groups: [group('default', { policy })] } : {}), wanted);
    assert.equal(place(false).success, false);
    assert.equal(place(true).success, true);
  });

  it('a cluster whose rules cannot all be kept is told so', () => {
    const tags = ['skein:node:must:nowhere'];
    const refused = answer(clusterOf(racks), instance('lost', { template: 'ext', tags }));
    assert.equal(refused.success, false);
    assert.match(refused.info, /nowhere/);
  });
});
