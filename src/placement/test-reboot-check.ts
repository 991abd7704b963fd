/**
 * Judges reboot groups from the cluster alone, by plain sums: that they are a partition of what was to be rebooted, that
 * none has two nodes whose instances are in each other's way, and that there is room for what leaves.
 */
import assert from 'node:assert/strict';
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import type { RebootGroup, RebootOptions } from './reboot-groups.ts';

export const everything: RebootOptions = {
  group: null,
  node_tags: null,
  offline_maintenance: false,
  full_evacuation: false,
  non_redundant: 'move',
  rules: null,
};

export function assertSound(
  cluster: PlacementCluster,
  options: RebootOptions,
  groups: readonly RebootGroup[],
): void {
  const named = (node: number): string => cluster.nodes[node]!.name;
  const selected = cluster.nodes.flatMap((node, at) => {
    const hosts_non_redundant = cluster.instances.some(
      (one) => one.primary === at && one.secondary < 0 && !one.forthcoming,
    );
    return !node.offline &&
      (options.group === null || node.group === options.group) &&
      (options.node_tags === null || node.tags.some((tag) => options.node_tags!.includes(tag))) &&
      (options.non_redundant !== 'skip' || !hosts_non_redundant)
      ? [at]
      : [];
  });
  const all = groups.flatMap(({ nodes }) => nodes);
  assert.deepEqual(
    all.toSorted((a, b) => a - b),
    selected,
    'each node is in one group',
  );
  const master = cluster.nodes.findIndex((node) => node.master);
  if (selected.includes(master)) assert.equal(all.at(-1), master, 'the master is last of all');
  const sizes = groups.map(({ nodes }) => nodes.length);
  const without_last = selected.includes(master) ? sizes.slice(0, -1) : sizes;
  assert.deepEqual(
    without_last,
    without_last.toSorted((a, b) => b - a),
    'the largest come first',
  );

  for (const { nodes, moves } of groups) {
    const away = new Set(nodes);
    for (const a of cluster.instances) {
      if (a.secondary < 0) continue;
      assert.ok(
        !away.has(a.primary) || !away.has(a.secondary),
        `${a.name} has both copies in ${nodes.map(named).join()}`,
      );
      if (options.offline_maintenance || !away.has(a.primary) || a.forthcoming) continue;
      const meets = cluster.instances.find(
        (b) =>
          b.secondary === a.secondary && b.primary !== a.primary && away.has(b.primary) && !b.forthcoming,
      );
      assert.equal(meets, undefined, `${a.name} and ${meets?.name} meet on ${named(a.secondary)}`);
    }
    assertRoom(cluster, options, { nodes, moves });
  }
}

function assertRoom(cluster: PlacementCluster, options: RebootOptions, { nodes, moves }: RebootGroup): void {
  const away = new Set(nodes);
  const moved = new Map(moves.map((move) => [move.instance, move]));
  const memory = cluster.nodes.map((node) => node.free_memory_mib);
  const disk = cluster.nodes.map((node) => node.free_disk_mib);
  const run_more = new Set<number>();
  const store_more = new Set<number>();
  const local = ({ template }: PlacementInstance): boolean => template === 'drbd' || template === 'plain';
  cluster.instances.forEach((one, at) => {
    const found = moved.get(at);
    if (one.forthcoming) {
      assert.equal(found, undefined, 'a reservation moves nothing');
      return;
    }
    const leaves = away.has(one.primary);
    const swaps = options.full_evacuation && leaves && one.secondary >= 0 && found === undefined;
    const primary = found?.primary ?? (swaps ? one.secondary : one.primary);
    const secondary = found?.secondary ?? (swaps ? one.primary : one.secondary);
    if (leaves && one.secondary < 0 && options.non_redundant === 'move')
      assert.ok(found !== undefined, `${one.name} stays on ${cluster.nodes[primary]!.name}`);
    if (options.full_evacuation && one.secondary >= 0)
      assert.ok(
        !away.has(primary) && !away.has(secondary),
        `${one.name} has a copy on a node that is rebooted`,
      );
    if (found === undefined && !swaps) return;
    if (!options.full_evacuation) assert.ok(leaves, `${one.name} moves for no reason`);
    for (const node of [primary, secondary]) {
      if (node < 0) continue;
      const had_it = node === one.primary || node === one.secondary;
      if (options.full_evacuation || !had_it)
        assert.ok(!away.has(node), `${one.name} moves to a node that is rebooted`);
      assert.ok(!cluster.nodes[node]!.offline || had_it, `${one.name} moves to an offline node`);
      if (!had_it)
        assert.ok(
          [one.primary, one.secondary].some(
            (old) => old >= 0 && cluster.nodes[old]!.group === cluster.nodes[node]!.group,
          ),
          `${one.name} moves to another group`,
        );
      if (!had_it) store_more.add(node);
    }
    assert.notEqual(primary, secondary);
    if (one.status === 'running' && primary !== one.primary) {
      run_more.add(primary);
      memory[one.primary]! += one.memory_mib;
      memory[primary]! -= one.memory_mib;
    }
    if (!local(one)) return;
    disk[one.primary]! += one.disk_mib;
    disk[primary]! -= one.disk_mib;
    if (one.secondary < 0) return;
    disk[one.secondary]! += one.disk_mib;
    disk[secondary]! -= one.disk_mib;
  });
  for (const node of run_more)
    assert.ok(memory[node]! > 0, `${cluster.nodes[node]!.name} has no memory for all that comes`);
  for (const node of store_more)
    assert.ok(disk[node]! > 0, `${cluster.nodes[node]!.name} has no disk for all that comes`);
}
