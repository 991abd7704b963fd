/**
 * Which learner gets its entries from whom. A pure function of the tree so far and of what the leader knows, so that a
 * change moves as few as possible: who lost its parent, and nobody else.
 * It guarantees: no cycles, at most `fan_out` children each, at most `max_depth` levels, and only such members placed as
 * may be. Whoever finds no place is left out: the leader feeds it itself.
 */
import type { MemberId, RelayBranch } from './types.ts';

/** Each placed learner's parent; `root`: the leader itself. Who is not in it is the leader's own care, too. */
export type RelayTree = ReadonlyMap<MemberId, MemberId>;

/** The leader, as a parent: members are numbered from 1. */
export const root: MemberId = 0;

/** Three levels of 16 serve 4,368 learners, more than one frame may name. */
export const max_depth = 3;

export interface TreeView {
  /** Who may be placed. */
  readonly learners: readonly MemberId[];
  readonly fan_out: number;
  /** Whether others may hang below it: its log is at hand and it is heard. */
  readonly mayRelay: (id: MemberId) => boolean;
  /** Whether `child` is to be kept from `parent`, which did not reach it. */
  readonly avoids: (child: MemberId, parent: MemberId) => boolean;
}

/** The tree from now on. Members without a place go to the shallowest parent that has room, there to the least loaded. */
export function nextTree(before: RelayTree, view: TreeView): Map<MemberId, MemberId> {
  const after = new Map<MemberId, MemberId>();
  const depth = new Map<MemberId, number>([[root, 0]]);
  const load = new Map<MemberId, number>();
  const learners = view.learners.toSorted((a, b) => a - b);
  const kept_by = childrenOf(before, learners);

  const takes = (parent: MemberId, child: MemberId): boolean =>
    (load.get(parent) ?? 0) < view.fan_out &&
    depth.get(parent)! < max_depth &&
    (parent === root || (view.mayRelay(parent) && !view.avoids(child, parent)));

  /** With all that hung below it, as far as that goes there. */
  const attach = (child: MemberId, parent: MemberId): void => {
    after.set(child, parent);
    depth.set(child, depth.get(parent)! + 1);
    load.set(parent, (load.get(parent) ?? 0) + 1);
    for (const below of kept_by.get(child) ?? []) if (takes(child, below)) attach(below, child);
  };

  for (const id of kept_by.get(root) ?? []) if (takes(root, id)) attach(id, root);
  // Those nearest to the root first: they bring those below them along.
  const level = levelsOf(before);
  const loose = learners.filter((id) => !after.has(id));
  loose.sort((a, b) => (level.get(a) ?? Infinity) - (level.get(b) ?? Infinity) || a - b);
  for (const id of loose) {
    if (after.has(id)) continue;
    let best: MemberId | undefined;
    for (const parent of depth.keys()) {
      if (takes(parent, id) && (best === undefined || isNearer(parent, best))) best = parent;
    }
    if (best !== undefined) attach(id, best);
  }
  return after;

  function isNearer(a: MemberId, b: MemberId): boolean {
    const by_depth = depth.get(a)! - depth.get(b)!;
    return (by_depth || (load.get(a) ?? 0) - (load.get(b) ?? 0) || a - b) < 0;
  }
}

/** What hangs below `parent`, to be told to it. */
export function branchesBelow(tree: RelayTree, parent: MemberId): readonly RelayBranch[] {
  const children = childrenOf(tree, tree.keys());
  const below = (id: MemberId): readonly RelayBranch[] =>
    (children.get(id) ?? []).map((child) => ({ id: child, below: below(child) }));
  return below(parent);
}

function childrenOf(tree: RelayTree, members: Iterable<MemberId>): Map<MemberId, MemberId[]> {
  const children = new Map<MemberId, MemberId[]>();
  for (const id of members) {
    const parent = tree.get(id);
    if (parent === undefined) continue;
    const of = children.get(parent);
    if (of === undefined) children.set(parent, [id]);
    else of.push(id);
  }
  return children;
}

/** How far from the root each was; a parent that is in the tree no more counts as being on the first level. */
function levelsOf(tree: RelayTree): Map<MemberId, number> {
  const levels = new Map<MemberId, number>([[root, 0]]);
  const of = (id: MemberId): number => {
    const known = levels.get(id);
    if (known !== undefined) return known;
    const parent = tree.get(id);
    const level = parent === undefined ? 1 : of(parent) + 1;
    levels.set(id, level);
    return level;
  };
  for (const id of tree.keys()) of(id);
  return levels;
}
