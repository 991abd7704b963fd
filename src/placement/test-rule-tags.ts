/** Rules by tags for generated clusters, and a judge of what is broken that shares nothing with the searches. */
import fc from 'fast-check';
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import { randomFrom } from './random.ts';
import { allBreaches, type Breaches } from './rule-breaches.ts';
import { compileRules, type PlacementRules } from './rules.ts';
import type { Table } from './table.ts';

export interface TagRequest {
  readonly seed: number;
  /** Share of the instances that have a tag. */
  readonly tagged: number;
  readonly racks: number;
  readonly spread: 'none' | 'must' | 'should';
  readonly memory_ratio: number;
  readonly exclusive: boolean;
  /** Share of the instances that stay with others of their node. */
  readonly bound: number;
}

export const tag_requests: fc.Arbitrary<TagRequest> = fc.record({
  seed: fc.integer({ min: 0, max: 1_000_000 }),
  tagged: fc.constantFrom(0.2, 0.5, 1),
  racks: fc.integer({ min: 2, max: 4 }),
  spread: fc.constantFrom('none', 'none', 'must', 'should'),
  memory_ratio: fc.constantFrom(1, 1, 1.5),
  exclusive: fc.boolean(),
  bound: fc.constantFrom(0, 0, 0.5),
});

/** The cluster with rules; one node in eight is in no rack that anybody knows of. */
export function withRuleTags(cluster: PlacementCluster, request: TagRequest): PlacementCluster {
  const random = randomFrom(request.seed);
  const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  const { racks, spread, memory_ratio } = request;
  const policy = { ...cluster.policy, memory_ratio };
  const nodes = cluster.nodes.map((node, at) => ({
    ...node,
    tags: [
      ...node.tags,
      ...(random() < 0.125 ? [] : [`skein:domain:rack:r${at % racks}`]),
      ...(request.exclusive ? ['skein:numa-nodes:2'] : []),
    ],
  }));
  const strength = (): string => one(['must', 'must', 'should']);
  const tagOf = (): string => {
    const label = `l${Math.floor(random() * 3)}`;
    switch (Math.floor(random() * (request.exclusive ? 8 : 6))) {
      case 0:
        return `skein:anti-affinity:${strength()}:${label}`;
      case 1:
        return `skein:anti-affinity:${strength()}:${label}@rack`;
      case 2:
        return `skein:affinity:${strength()}:near-${label}${one(['', '@rack'])}`;
      case 3:
        return `skein:label:${label}`;
      case 4:
        return `skein:within:${strength()}:rack:r${Math.floor(random() * racks)}`;
      case 5:
        return `skein:node:${strength()}:${one(nodes).name}`;
      case 6:
        return 'skein:cpu:exclusive';
      default:
        return one(['skein:memory:exclusive', 'skein:numa:exclusive']);
    }
  };
  return {
    ...cluster,
    policy,
    groups: cluster.groups.map((group) => ({ ...group, policy: { ...group.policy, memory_ratio } })),
    tags: spread === 'none' ? cluster.tags : [...cluster.tags, `skein:spread:${spread}:rack`],
    nodes,
    instances: cluster.instances.map((instance) => ({
      ...instance,
      tags: [
        ...instance.tags,
        ...(random() < request.tagged ? [tagOf()] : []),
        ...(random() < request.bound ? [`skein:affinity:must:on-${instance.primary}`] : []),
      ],
    })),
  };
}

/** null: the tags contradict each other. */
export function rulesOrNull(cluster: PlacementCluster): PlacementRules | null {
  const compiled = compileRules(cluster);
  return 'errors' in compiled ? null : compiled.rules;
}

/** Rules read anew from a cluster whose instances are where the table has them. */
export function rulesNow(
  cluster: PlacementCluster,
  table: Pick<Table, 'primary' | 'secondary'>,
  waiting: readonly PlacementInstance[] = [],
): PlacementRules {
  const instances = [...cluster.instances, ...waiting].map((instance, at) => ({
    ...instance,
    primary: table.primary[at]!,
    secondary: table.secondary[at]!,
  }));
  const rules = rulesOrNull({ ...cluster, instances });
  if (rules === null) throw new Error('the rules contradict each other');
  return rules;
}

/** What is broken now that was not before. */
export function newBreaches(before: Breaches, now: PlacementRules): readonly string[] {
  return [...allBreaches(now)].flatMap(([instance, breaches]) =>
    [...breaches]
      .filter((breach) => before.get(instance)?.has(breach) !== true)
      .map((breach) => `${now.model.cluster.instances[instance]!.name}: ${breach}`),
  );
}
