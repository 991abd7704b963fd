/**
 * Names without the domain that all of a cluster's nodes and instances share, as the htools show and accept them.
 */
import type { PlacementCluster } from './cluster.ts';

/** The longest common ending that begins with a dot; empty if there is none. */
export function commonDomain(names: readonly string[]): string {
  const [first, ...others] = names;
  if (first === undefined) return '';
  for (let at = first.indexOf('.'); at !== -1; at = first.indexOf('.', at + 1)) {
    const ending = first.slice(at);
    if (others.every((name) => name.endsWith(ending))) return ending;
  }
  return '';
}

/** The domain of all nodes and instances. */
export function clusterDomain(cluster: PlacementCluster): string {
  return commonDomain([...cluster.nodes, ...cluster.instances].map(({ name }) => name));
}

export function shortName(name: string, domain: string): string {
  return name.slice(0, name.length - domain.length);
}
