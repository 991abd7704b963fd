/**
 * What the tags of a cluster mean to placement (`htools:…`), with names replaced by numbers.
 *
 * Exclusion: of two instances with one such tag, only one may be primary on a node. Locations: domains that fail
 * together; two copies, or two instances with one exclusion tag, should not share one. Desired locations: where an
 * instance would like its primary. Migration: a node's tags that the target of a live migration must accept.
 */
import type { PlacementCluster, PlacementInstance } from './cluster.ts';

export interface ClusterTags {
  /** Of each instance, then of each that waits: its exclusion tags, as numbers below `exclusion_names.length`. */
  readonly exclusion: readonly (readonly number[])[];
  readonly exclusion_names: readonly string[];
  /** Of each node: its locations, as numbers below `location_count`. */
  readonly locations: readonly (readonly number[])[];
  /** Of each instance: the locations that it desires; those that no node has are numbers from `location_count` on. */
  readonly desired: readonly (readonly number[])[];
  readonly location_count: number;
  /** [source × nodes + target]: 1 where a live migration may go; null where it may go everywhere. */
  readonly migration: Uint8Array | null;
}

const exclusion_prefix = 'htools:iextags:';
const location_prefix = 'htools:nlocation:';
const desired_prefix = 'htools:desiredlocation:';
const migration_prefix = 'htools:migration:';
const allow_prefix = 'htools:allowmigration:';

/**
 * @param exclusion further prefixes of exclusion tags; with their colon.
 * @param waiting instances that are on no node yet
 */
export function readTags(
  cluster: PlacementCluster,
  exclusion: readonly string[] = [],
  waiting: readonly PlacementInstance[] = [],
): ClusterTags {
  const instances = waiting.length === 0 ? cluster.instances : [...cluster.instances, ...waiting];
  const exclusion_prefixes = [
    ...exclusion,
    ...after(cluster.tags, exclusion_prefix).filter((one) => one !== ''),
  ];
  const desired_prefixes = after(cluster.tags, desired_prefix).filter((one) => one !== '');
  const excluded = new Numbers();
  const places = new Numbers();
  const locations = cluster.nodes.map((node) =>
    domainTags(cluster.tags, location_prefix, node.tags).map((tag) => places.of(tag)),
  );
  const location_count = places.names.length;
  return {
    exclusion: instances.map(({ tags }) =>
      startingWith(tags, exclusion_prefixes).map((tag) => excluded.of(tag)),
    ),
    exclusion_names: excluded.names,
    locations,
    desired: instances.map(({ tags }) =>
      distinct(startingWith(tags, desired_prefixes)).map((tag) => places.of(tag)),
    ),
    location_count,
    migration: migrationTable(cluster),
  };
}

/** Counts up as new names come. */
class Numbers {
  readonly names: string[] = [];
  readonly #of = new Map<string, number>();

  of(name: string): number {
    const found = this.#of.get(name);
    if (found !== undefined) return found;
    this.#of.set(name, this.names.length);
    this.names.push(name);
    return this.names.length - 1;
  }
}

function migrationTable(cluster: PlacementCluster): Uint8Array | null {
  const sent = cluster.nodes.map((node) => domainTags(cluster.tags, migration_prefix, node.tags));
  if (sent.every((tags) => tags.length === 0)) return null;
  const allowed = after(cluster.tags, allow_prefix).flatMap((pair) => {
    const [from, to, ...more] = pair.split('::');
    return from === undefined || to === undefined || more.length > 0 ? [] : [{ from, to }];
  });
  const accepted = sent.map(
    (tags) => new Set([...tags, ...allowed.filter(({ to }) => tags.includes(to)).map(({ from }) => from)]),
  );
  const count = cluster.nodes.length;
  const table = new Uint8Array(count * count);
  for (const [source, tags] of sent.entries()) {
    for (const [target, accepts] of accepted.entries()) {
      if (tags.every((tag) => accepts.has(tag))) table[source * count + target] = 1;
    }
  }
  return table;
}

/** What follows `prefix`, of the tags that begin with it. */
function after(tags: readonly string[], prefix: string): readonly string[] {
  return tags.filter((tag) => tag.startsWith(prefix)).map((tag) => tag.slice(prefix.length));
}

/** The tags `x:…` of an object for which the cluster has a tag `PREFIXx`. */
function domainTags(
  cluster_tags: readonly string[],
  prefix: string,
  tags: readonly string[],
): readonly string[] {
  return distinct(
    startingWith(
      tags,
      after(cluster_tags, prefix).map((domain) => `${domain}:`),
    ),
  );
}

function startingWith(tags: readonly string[], prefixes: readonly string[]): readonly string[] {
  return prefixes.length === 0 ? [] : tags.filter((tag) => prefixes.some((prefix) => tag.startsWith(prefix)));
}

function distinct(tags: readonly string[]): readonly string[] {
  return tags.length < 2 ? tags : [...new Set(tags)];
}
