/**
 * Commands on the cluster as a whole: its birth, its parameters, its end.
 */
import { checkShape } from './command-schemas.ts';
import type { Command } from './commands.ts';
import { type Draft, table_names, touched } from './draft.ts';
import { checkIPolicy, fillIPolicy } from './ipolicy.ts';
import { cluster_key, meta_key } from './keys.ts';
import type { Cluster, NodeGroup } from './model.ts';
import { cluster as clusterShape } from './object-schemas.ts';
import { withoutMemoryAlias } from './params.ts';
import { refuse } from './refused.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** Cluster, first group and first node at once. Value: the cluster's uuid. */
export function applyClusterInit(draft: Draft, command: Of<'cluster-init'>): string {
  const { cluster, group, node, time } = command;
  const present = draft.get('cluster', cluster_key);
  if (present !== undefined) refuse('exists', `this is the cluster ${present.cluster_name} already`);
  const meta = draft.meta();
  if (node.group !== group.uuid)
    refuse('invalid', `node.group is ${node.group}: expected the new group ${group.uuid}`);
  if (node.member < meta.next_member) {
    refuse('invalid', `member number ${node.member} was given before: expected ${meta.next_member} or more`);
  }
  refuseBadPolicies(cluster, [group]);
  const born = { serial_no: 1, ctime: time, mtime: time };
  draft.put('cluster', cluster_key, { ...cluster, ...born, beparams: withoutMemoryAlias(cluster.beparams) });
  draft.put('groups', group.uuid, { ...group, ...born });
  draft.put('nodes', node.uuid, {
    ...node,
    ...born,
    health: 'member',
    health_since: time,
    health_reason: '',
  });
  draft.put('meta', meta_key, { ...meta, next_member: node.member + 1 });
  return cluster.uuid;
}

/** Replaces the fields named; `ha` is merged. Value: null. */
export function applyClusterSet(draft: Draft, command: Of<'cluster-set'>): null {
  const before = draft.cluster();
  const { ha, ...changes } = command.changes;
  const after: Cluster = touched({ ...before, ...changes, ha: { ...before.ha, ...ha } }, command.time);
  checkShape(clusterShape, after, 'cluster');
  if (after.generation !== before.generation) {
    // Every member's mesh says it: nothing but a recovery may change it.
    refuse('invalid', `generation ${after.generation} is not the present ${before.generation}`);
  }
  if (after.feature_level < before.feature_level) {
    refuse(
      'invalid',
      `feature_level ${after.feature_level} is lower than the present ${before.feature_level}: it only rises`,
    );
  }
  for (const instance of draft.values('instances')) {
    if (!after.enabled_hypervisors.includes(instance.hypervisor)) {
      refuse(
        'in-use',
        `hypervisor ${instance.hypervisor} cannot be disabled: instance ${instance.name} uses it`,
      );
    }
    if (!after.enabled_disk_templates.includes(instance.disk_template)) {
      refuse(
        'in-use',
        `disk template ${instance.disk_template} cannot be disabled: instance ${instance.name} uses it`,
      );
    }
  }
  refuseBadPolicies(after, draft.values('groups'));
  draft.put('cluster', cluster_key, { ...after, beparams: withoutMemoryAlias(after.beparams) });
  return null;
}

/** The cluster's instance policy and what it makes of those of groups. */
function refuseBadPolicies(cluster: Cluster, groups: Iterable<NodeGroup>): void {
  const { enabled_disk_templates } = cluster;
  const wrong = checkIPolicy(fillIPolicy(cluster, null), enabled_disk_templates, 'the cluster');
  if (wrong !== null) refuse('invalid', wrong);
  for (const group of groups) {
    const wrong_there = checkIPolicy(fillIPolicy(cluster, group), enabled_disk_templates, group);
    if (wrong_there !== null) refuse('invalid', wrong_there);
  }
}

/**
 * Clears every table but `meta`, whose counters must never run backwards, so that no member number and no job id is
 * given twice even if the same log goes on. Refused while an instance is left. The job that asks for it goes as well.
 */
export function applyClusterDestroy(draft: Draft): null {
  draft.cluster();
  for (const instance of draft.values('instances')) {
    refuse('in-use', `the cluster still has the instance ${instance.name}: expected none`);
  }
  for (const table of table_names) {
    if (table === 'meta') continue;
    for (const key of draft.keysUnder(table, '')) draft.delete(table, key);
  }
  return null;
}
