/** A node for an instance, and why no other; what may no longer be lost. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allocate, openPlacing } from './allocate.ts';
import { answerAsk } from './answer-ask.ts';
import type { PlacementCluster, PlacementInstance, PlacementNode } from './cluster.ts';
import { type AllocateAsk, explainRefusals, type PlacementView, type Refusal } from './placement-ask.ts';
import { buildTable } from './table.ts';
import { cluster, group, instance, node } from './test-allocation.ts';

function viewOf(of: PlacementCluster, refusals: Readonly<Record<string, Refusal>> = {}): PlacementView {
  return { cluster: of, refusals: of.nodes.map(({ name }) => refusals[name] ?? null) };
}

function ask(changes: Partial<AllocateAsk> = {}, wanted: Partial<PlacementInstance> = {}): AllocateAsk {
  const {
    primary: _primary,
    secondary: _secondary,
    ...rest
  } = instance('new', { template: 'sharedfile', ...wanted });
  return {
    type: 'allocate',
    instance: rest,
    node_count: 1,
    group: null,
    exclude: [],
    admission: 'off',
    check_policy: true,
    ...changes,
  };
}

const on = (name: string, at: number, changes: Partial<PlacementInstance> = {}): PlacementInstance =>
  instance(name, { template: 'sharedfile', primary: at, ...changes });

/** With so much of its 16 GiB free. */
const free = (name: string, free_memory_mib: number, changes: Partial<PlacementNode> = {}): PlacementNode =>
  node(name, { free_memory_mib, node_memory_mib: 16_384 - free_memory_mib, ...changes });

describe('a node for a new instance', () => {
  it('is the one that leaves the least score', () => {
    const full = cluster([node('a'), node('b'), node('c')], [on('x', 0), on('y', 1)]);
    const answer = answerAsk(viewOf(full), ask());
    assert.equal(answer.nodes?.[0]?.name, 'c');
    const waiting = instance('new', { template: 'sharedfile' });
    const table = buildTable(full, { waiting: [waiting] });
    const wanted = { index: 2, instance: waiting, demand: table.demands[2]! };
    const options = { force: false, capacity_checks: false };
    const best = allocate(openPlacing(table), wanted, { primaries: [0, 1, 2], secondariesOf: null }, options);
    assert.equal(answer.score, best.solution?.score);
  });

  it('is in a preferred group before one of last resort, and in an unallocable one only where that is asked for', () => {
    const groups = [
      group('last', { alloc_policy: 'last_resort' }),
      group('first'),
      group('closed', { alloc_policy: 'unallocable' }),
    ];
    const of = cluster(
      [node('l', { group: 0 }), free('f', 2_000, { group: 1 }), node('u', { group: 2 })],
      [],
      { groups },
    );
    assert.equal(answerAsk(viewOf(of), ask()).nodes?.[0]?.name, 'f');
    assert.equal(answerAsk(viewOf(of), ask({}, { memory_mib: 4_096 })).nodes?.[0]?.name, 'l');
    assert.equal(answerAsk(viewOf(of), ask({ group: 'uuid-closed' })).nodes?.[0]?.name, 'u');
  });

  const refusals: readonly (readonly [
    string,
    PlacementNode,
    Partial<AllocateAsk>,
    Partial<PlacementInstance>,
    RegExp,
  ])[] = [
    [
      'memory',
      free('a', 512),
      {},
      { memory_mib: 2_048 },
      /^a: needs 2048 MiB of memory, has 512 MiB free \(1536 MiB short\)$/,
    ],
    [
      'the last of it',
      free('a', 2_048),
      {},
      { memory_mib: 2_048 },
      /needs 2048 MiB of memory, has 2048 MiB free, and must keep some$/,
    ],
    [
      'disk',
      node('a', { free_disk_mib: 500 }),
      {},
      { disk_mib: 600, local_disk: true, template: 'file' },
      /needs 600 MiB of disk, has 500 MiB free \(100 MiB short\)$/,
    ],
    [
      'CPUs',
      node('a', { total_cpus: 1 }),
      {},
      { vcpus: 6 },
      /needs 6 virtual CPUs, has 4 left \(4 for each of its 1 CPUs\)$/,
    ],
    ['exclusion', node('a'), { exclude: [['a', 'is too old']] }, {}, /^a: is too old$/],
    [
      'policy',
      node('a'),
      {},
      { memory_mib: 32 },
      /policy: memory of 32 MiB is 32 MiB less than the least, 64 MiB$/,
    ],
  ];
  for (const [what, where, changes, wanted, text] of refusals) {
    it(`says by how much a node falls short: ${what}`, () => {
      const answer = answerAsk(viewOf(cluster([where])), ask(changes, wanted));
      assert.equal(answer.nodes, null);
      assert.match(explainRefusals(answer.refused), text);
    });
  }

  it('does not look at policies where they are to be ignored', () => {
    const of = viewOf(cluster([node('a')]));
    assert.equal(answerAsk(of, ask({ check_policy: false }, { memory_mib: 32 })).nodes?.[0]?.name, 'a');
  });

  it('is none that takes nothing, and the others are told with their reasons, by name', () => {
    const nodes = [free('c', 1), node('b', { offline: true }), node('a', { group: 1 })];
    const of = cluster(nodes, [], {
      groups: [group('default'), group('closed', { alloc_policy: 'unallocable' })],
    });
    const answer = answerAsk(viewOf(of, { b: { code: 'offline', text: 'is offline' } }), ask());
    assert.equal(
      explainRefusals(answer.refused),
      'a: is in group closed, which is unallocable; b: is offline; c: needs 1024 MiB of memory, has 1 MiB free (1023 MiB short)',
    );
    assert.equal(explainRefusals(answerAsk(viewOf(cluster([])), ask()).refused), 'the cluster has no nodes');
  });
});

describe('N+1', () => {
  // Either node takes what the other has; one more GiB of memory on b and a cannot take over any more.
  const edge = () =>
    viewOf(cluster([free('b', 4_000), free('a', 4_000)], [on('x', 0, { memory_mib: 1_500 })]));
  const large = { memory_mib: 3_000 };

  it('is kept by another choice where one is there', () => {
    const nodes = [free('c', 2_000), free('b', 3_500), free('a', 6_000)];
    const of = viewOf(cluster(nodes, [on('x', 2, { memory_mib: 3_000 })]));
    const plain = answerAsk(of, ask({}, { memory_mib: 1_000 }));
    const kept = answerAsk(of, ask({ admission: 'warn' }, { memory_mib: 1_000 }));
    assert.deepEqual([plain.nodes?.[0]?.name, kept.nodes?.[0]?.name, kept.unsafe], ['b', 'c', null]);
  });

  it('is said to be lost, with the node, the instance and what is missing', () => {
    const { nodes, unsafe } = answerAsk(edge(), ask({ admission: 'warn' }, large));
    assert.equal(nodes?.length, 1);
    assert.match(
      unsafe ?? '',
      /^if node a were lost, new needs 3000 MiB of memory, the most that is free is 2500 MiB on b \(500 MiB short\)$/,
    );
  });

  it('does not count on nodes that are offline or drained', () => {
    const off = (offline: boolean) =>
      viewOf(cluster([free('c', 9_000, { offline }), free('b', 4_000), free('a', 2_000)], [on('x', 2)]));
    assert.equal(answerAsk(off(false), ask({ admission: 'warn' }, large)).unsafe, null);
    assert.match(
      answerAsk(off(true), ask({ admission: 'warn' }, large)).unsafe ?? '',
      /^if node \w were lost/,
    );
  });

  it('refuses where the cluster says so, and is not looked at where it says that', () => {
    const refused = answerAsk(edge(), ask({ admission: 'refuse' }, large));
    assert.equal(refused.nodes, null);
    assert.match(refused.unsafe ?? '', /if node a were lost/);
    const off = answerAsk(edge(), ask({ admission: 'off' }, large));
    assert.deepEqual([off.nodes?.length, off.unsafe], [1, null]);
  });

  it('that was lost before refuses nobody', () => {
    const lost = viewOf(cluster([free('b', 4_000), free('a', 1_000)], [on('x', 0, { memory_mib: 1_500 })]));
    const { nodes, unsafe } = answerAsk(lost, ask({ admission: 'refuse' }));
    assert.deepEqual([nodes?.[0]?.name, unsafe], ['b', null]);
  });

  it('of a node alone was never there', () => {
    const { nodes, unsafe } = answerAsk(viewOf(cluster([node('a')])), ask({ admission: 'refuse' }));
    assert.deepEqual([nodes?.[0]?.name, unsafe], ['a', null]);
  });
});

describe('another node for an instance', () => {
  const relocate = (name: string, may_stay = false, to: string | null = null) => ({
    type: 'relocate' as const,
    instance: name,
    may_stay,
    to,
  });

  it('is the one that somebody wants, in another group, too, or none, with what is against it', () => {
    const nodes = [free('c', 9_000, { group: 1 }), free('b', 9_000), free('d', 100), free('a', 9_000)];
    const given = cluster(nodes, [on('x', 3)], { groups: [group('one'), group('two')] });
    const of = viewOf(given);
    const to = (name: string) => given.nodes.find((each) => each.name === name)!.uuid;
    assert.equal(answerAsk(of, relocate('x', false, to('b'))).nodes?.[0]?.name, 'b');
    assert.equal(answerAsk(of, relocate('x', false, to('c'))).nodes?.[0]?.name, 'c');
    const { nodes: none, refused } = answerAsk(of, relocate('x', false, to('d')));
    assert.equal(none, null);
    assert.match(
      explainRefusals(refused),
      /^d: needs 1024 MiB of memory, has 100 MiB free \(924 MiB short\)$/,
    );
  });

  it('is in its group, not its own, and its own where it may stay', () => {
    const nodes = [free('c', 9_000, { group: 1 }), free('b', 3_000), free('a', 9_000)];
    const of = cluster(nodes, [on('x', 2)], { groups: [group('one'), group('two')] });
    assert.equal(answerAsk(viewOf(of), relocate('x')).nodes?.[0]?.name, 'b');
    assert.equal(answerAsk(viewOf(of), relocate('x', true)).nodes?.[0]?.name, 'a');
  });

  it('is none for disks that stay on their node, and none that lacks the memory', () => {
    const files = cluster([node('b'), node('a')], [on('x', 1, { template: 'file', local_disk: true })]);
    assert.match(
      explainRefusals(answerAsk(viewOf(files), relocate('x')).refused),
      /^a: owns it already; b: does not have the disks: template file stays on its node$/,
    );
    const full = cluster([free('b', 1_000), node('a')], [on('x', 1)]);
    assert.match(
      explainRefusals(answerAsk(viewOf(full), relocate('x')).refused),
      /b: needs 1024 MiB of memory, has 1000 MiB free/,
    );
  });

  it('may be one beyond its soft limits, rather than none', () => {
    const of = cluster([node('b', { total_cpus: 1 }), node('a')], [on('x', 1, { vcpus: 5 })]);
    const answer = answerAsk(viewOf(of), relocate('x'));
    assert.deepEqual([answer.nodes?.[0]?.name, answer.forced], ['b', true]);
  });

  it('is one that takes instances of the old one, by their migration tags', () => {
    const tags = ['kernel:new'];
    const nodes = [node('b', { tags }), node('a', { tags: ['kernel:old'] })];
    const of = cluster(nodes, [on('x', 1)], { tags: ['htools:migration:kernel'] });
    assert.match(
      explainRefusals(answerAsk(viewOf(of), relocate('x')).refused),
      /b: does not take instances of a, by their migration tags/,
    );
  });
});

describe('an instance where somebody wants it', () => {
  const { primary: _primary, secondary: _secondary, ...grown } = on('x', 0, { memory_mib: 3_500 });
  const admit = (of: PlacementView, admission: 'warn' | 'refuse') =>
    answerAsk(of, { type: 'admit', instance: grown, node: 'b', admission });

  it('is counted in place of what it is now', () => {
    const of = viewOf(cluster([free('b', 4_000), free('a', 4_000)], [on('x', 0, { memory_mib: 1_500 })]));
    assert.deepEqual([admit(of, 'refuse').nodes?.[0]?.name, admit(of, 'refuse').unsafe], ['b', null]);
  });

  it('is told of, or refused, where its node could not be lost any more', () => {
    const of = viewOf(cluster([free('b', 4_000), free('a', 3_000)], [on('x', 0, { memory_mib: 1_500 })]));
    assert.match(
      admit(of, 'warn').unsafe ?? '',
      /if node b were lost, x needs 3500 MiB of memory, the most that is free is 3000 MiB on a/,
    );
    assert.equal(admit(of, 'warn').nodes?.[0]?.name, 'b');
    assert.equal(admit(of, 'refuse').nodes, null);
  });

  it('has to have the memory', () => {
    const of = viewOf(cluster([free('b', 3_000), free('a', 9_000)], [on('x', 0, { memory_mib: 1_500 })]));
    assert.match(
      explainRefusals(admit(of, 'warn').refused),
      /^b: needs 3500 MiB of memory, has 3000 MiB free \(500 MiB short\)$/,
    );
  });
});

describe('rules by tags', () => {
  const apart = { tags: ['skein:anti-affinity:must:db'] };

  it('keep a new instance off, and say of each node why', () => {
    const of = cluster([node('a'), node('b')], [on('x', 0, apart), on('y', 1, apart), on('z', 0)]);
    const refused = answerAsk(viewOf(of), ask({}, apart));
    assert.equal(refused.nodes, null);
    assert.match(explainRefusals(refused.refused), /^a: .*x.*; b: .*y/);
    const room = cluster([node('a'), node('b'), node('c')], [on('x', 0, apart), on('y', 1, apart)]);
    assert.equal(answerAsk(viewOf(room), ask({}, apart)).nodes?.[0]?.name, 'c');
  });

  it('keep it off a node that somebody named, too', () => {
    const of = cluster([node('a'), node('b')], [on('x', 0, apart)]);
    const admit = (name: string) =>
      answerAsk(viewOf(of), {
        type: 'admit',
        instance: ask({}, apart).instance,
        node: of.nodes.find((each) => each.name === name)!.uuid,
        admission: 'off',
      });
    assert.equal(admit('a').nodes, null);
    assert.equal(admit('b').nodes?.[0]?.name, 'b');
  });

  it('are kept where an instance has to go elsewhere; what contradicts itself holds up nothing', () => {
    const nodes = [node('a'), node('b'), node('c')];
    const of = cluster(nodes, [on('x', 0, apart), on('y', 1, apart)]);
    const relocate = { type: 'relocate', instance: 'x', may_stay: false, to: null } as const;
    assert.equal(answerAsk(viewOf(of), relocate).nodes?.[0]?.name, 'c');
    const wrong = { tags: [...apart.tags, 'skein:affinity:must:db'] };
    const mad = cluster(nodes, [on('x', 0, wrong), on('y', 1, wrong)]);
    assert.equal(answerAsk(viewOf(mad), relocate).nodes?.length, 1);
  });
});
