/**
 * Which instances may be started elsewhere without a person, and so are paused, killed and fenced when their host is
 * cut off (docs/ha.md). Every replica, agent and keeper must come to the same answer: pure, and time comes in.
 */
import type { Cluster, Disk, HaParams, Instance, Node, NodeGroup } from './model.ts';

export type AutorepairPolicy = HaParams['autorepair'];

/** From the least to the most that is permitted; a type permits the ones before it. */
const autorepair_order: readonly AutorepairPolicy[] = [
  'off',
  'fix-storage',
  'migrate',
  'failover',
  'reinstall',
];
const tag_prefix = 'ganeti:watcher:autorepair:';
const suspend_tag = `${tag_prefix}suspend`;

/** Templates whose data any node reaches, or that have none. */
const reachable_templates: ReadonlySet<string> = new Set(['sharedfile', 'diskless']);

/** What one object's tags say; null when they say nothing. A suspension beats an enabling tag beside it. */
function policyOfTags(tags: readonly string[], time: number): AutorepairPolicy | null {
  let enabled: AutorepairPolicy | null = null;
  for (const tag of tags) {
    if (!tag.startsWith(tag_prefix)) continue;
    if (tag === suspend_tag) return 'off';
    const rest = tag.slice(tag_prefix.length);
    if (rest.startsWith('suspend:')) {
      const until = Number(rest.slice('suspend:'.length));
      // A suspension that cannot be read is one that somebody meant.
      if (!Number.isFinite(until) || until > time) return 'off';
      continue;
    }
    const type = autorepair_order.find((known) => known !== 'off' && known === rest);
    if (type === undefined) continue;
    if (enabled === null || autorepair_order.indexOf(type) < autorepair_order.indexOf(enabled))
      enabled = type;
  }
  return enabled;
}

/**
 * The autorepair policy in force: the nearest object with tags decides (instance, group, cluster), then the cluster's
 * default. Of several types on one object the least counts. `time` in seconds ends suspensions that carry one.
 */
export function autorepairPolicy(
  cluster: Pick<Cluster, 'tags' | 'ha'>,
  group: Pick<NodeGroup, 'tags'> | null,
  instance: Pick<Instance, 'tags'>,
  time: number,
): AutorepairPolicy {
  return (
    policyOfTags(instance.tags, time) ??
    (group === null ? null : policyOfTags(group.tags, time)) ??
    policyOfTags(cluster.tags, time) ??
    cluster.ha.autorepair
  );
}

/** Whether `policy` includes starting the instance on another node. */
export function permitsFailover(policy: AutorepairPolicy): boolean {
  return autorepair_order.indexOf(policy) >= autorepair_order.indexOf('failover');
}

/** Whether every disk can be used from any node. */
export function isReachableEverywhere(
  instance: Pick<Instance, 'disk_template'>,
  disks: readonly Pick<Disk, 'dev_type'>[],
): boolean {
  return (
    reachable_templates.has(instance.disk_template) &&
    disks.every((disk) => reachable_templates.has(disk.dev_type))
  );
}

/** With fewer hosts that may vote nobody can tell a lost peer from a lost link. */
const least_voting_nodes = 3;

/** Whether a guest that is started now, under a new epoch, is to be guarded ({@link Instance.guarded}). `time` in seconds. */
export function isToBeGuarded(
  cluster: Pick<Cluster, 'tags' | 'ha'>,
  instance: Pick<Instance, 'tags' | 'disk_template'>,
  disks: readonly Pick<Disk, 'dev_type'>[],
  group: Pick<NodeGroup, 'tags'> | null,
  nodes: Iterable<Pick<Node, 'master_capable'>>,
  time: number,
): boolean {
  let voting = 0;
  for (const node of nodes) if (node.master_capable) voting += 1;
  return voting >= least_voting_nodes && isProtected(cluster, instance, disks, group, time);
}

/**
 * May it be started elsewhere without a person? `group` is that of the node that owns it (null: unknown), `time` is in
 * seconds.
 */
export function isProtected(
  cluster: Pick<Cluster, 'tags' | 'ha'>,
  instance: Pick<Instance, 'tags' | 'disk_template'>,
  disks: readonly Pick<Disk, 'dev_type'>[],
  group: Pick<NodeGroup, 'tags'> | null,
  time: number,
): boolean {
  return (
    isReachableEverywhere(instance, disks) &&
    permitsFailover(autorepairPolicy(cluster, group, instance, time))
  );
}
