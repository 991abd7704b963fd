/**
 * Which failure domains a node is in, by Ganeti's convention: the cluster's tag `htools:nlocation:PREFIX` makes every node
 * tag `PREFIX:…` the name of a domain (a rack, a power feed). A node may be in several. Without that convention the node
 * groups are the domains: hosts of a group tend to share a room and a switch.
 */
const convention = 'htools:nlocation:';

/** @param group uuid of the node's group */
export function failureDomains(
  cluster_tags: readonly string[],
  node: { readonly tags: readonly string[]; readonly group: string },
): readonly string[] {
  const prefixes = cluster_tags
    .filter((tag) => tag.startsWith(convention))
    .map((tag) => `${tag.slice(convention.length)}:`);
  if (prefixes.length === 0) return [`group ${node.group}`];
  return node.tags.filter((tag) => prefixes.some((prefix) => tag.startsWith(prefix)));
}
