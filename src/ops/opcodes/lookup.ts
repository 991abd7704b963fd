/**
 * Finding what an opcode's parameters name. Everywhere a name is taken, the UUID is taken too.
 */
import type { StateView } from '../../config/api.ts';
import { cluster_key } from '../../config/keys.ts';
import type { Cluster, Instance, LockRequest, Node, NodeGroup, Owner } from '../../config/model.ts';
import { isToBeGuarded } from '../../config/protected.ts';
import type { DiskSpec } from '../../drivers/types.ts';
import { name, nullable, optional, shorten, wrongInput } from '../params.ts';
import { OpError } from '../types.ts';

/** Ganeti's pair of parameters for an instance. */
export const instance_ref = { instance_name: optional(name, ''), instance_uuid: nullable(name) };
export const node_ref = { node_name: optional(name, ''), node_uuid: nullable(name) };

/** What names the object: the uuid if one is given. Throws when neither is. */
export function refOf(kind: string, given_name: string | null, uuid: string | null): string {
  const ref = uuid ?? given_name ?? '';
  if (ref === '') throw wrongInput(`${kind} is missing: expected the name or the UUID of one`);
  return ref;
}

function unknown(kind: string, ref: string): OpError {
  return new OpError('OpPrereqError', `there is no ${kind} ${shorten(ref)}`, 'unknown_entity');
}

export function clusterOf(state: StateView): Cluster {
  const cluster = state.get('cluster', cluster_key);
  if (!cluster) throw new OpError('OpPrereqError', 'there is no cluster', 'wrong_state');
  return cluster;
}

export function findNode(state: StateView, ref: string): Node | undefined {
  return state.get('nodes', ref) ?? state.list('nodes').find((node) => node.name === ref);
}

export function needNode(state: StateView, ref: string): Node {
  const node = findNode(state, ref);
  if (!node) throw unknown('node', ref);
  return node;
}

export function findGroup(state: StateView, ref: string): NodeGroup | undefined {
  return state.get('groups', ref) ?? state.list('groups').find((group) => group.name === ref);
}

export function needGroup(state: StateView, ref: string): NodeGroup {
  const group = findGroup(state, ref);
  if (!group) throw unknown('node group', ref);
  return group;
}

/** null: there is no such node, or its group is gone. */
export function groupOfNode(state: StateView, node_uuid: string): NodeGroup | null {
  const node = state.get('nodes', node_uuid);
  return (node && state.get('groups', node.group)) ?? null;
}

/**
 * uuids of the nodes that a maintenance is for: those named, or all of a group, or all; marked offline ones only if
 * named. @throws OpError for a node or group that is not there
 */
export function nodesToReboot(
  state: StateView,
  refs: readonly string[],
  group_ref: string | null,
): readonly string[] {
  const group = group_ref === null ? null : needGroup(state, group_ref);
  if (refs.length > 0) {
    return refs.map((ref) => {
      const node = needNode(state, ref);
      if (node.offline)
        throw new OpError('OpPrereqError', `node ${node.name} is marked offline`, 'wrong_state');
      if (group !== null && node.group !== group.uuid)
        throw new OpError('OpPrereqError', `node ${node.name} is not in group ${group.name}`, 'wrong_input');
      return node.uuid;
    });
  }
  return state
    .list('nodes')
    .filter((node) => !node.offline && (group === null || node.group === group.uuid))
    .map(({ uuid }) => uuid);
}

export function findInstance(state: StateView, ref: string): Instance | undefined {
  return state.get('instances', ref) ?? state.list('instances').find((instance) => instance.name === ref);
}

export function needInstance(state: StateView, ref: string): Instance {
  const instance = findInstance(state, ref);
  if (!instance) throw unknown('instance', ref);
  return instance;
}

export const cluster_shared: LockRequest = { name: 'cluster', exclusive: false };
/** Changes of the cluster's own parameters exclude each other, and nothing else. */
export const cluster_params: LockRequest = { name: 'cluster/params', exclusive: true };

export function nodeLock(uuid: string, exclusive: boolean): LockRequest {
  return { name: `node/${uuid}`, exclusive };
}

export function groupLock(uuid: string, exclusive: boolean): LockRequest {
  return { name: `group/${uuid}`, exclusive };
}

/** The instance for itself, and its node so that nobody removes or offlines that meanwhile. */
export function instanceLocks(state: StateView, ref: string): readonly LockRequest[] {
  const instance = findInstance(state, ref);
  const own: LockRequest = { name: `instance/${instance?.name ?? ref}`, exclusive: true };
  return instance ? [cluster_shared, own, nodeLock(instance.owner.node, false)] : [cluster_shared, own];
}

/** What an op needs to know of an instance, as plain data: learnt once, so that a replay acts on the same. */
export interface InstanceFacts {
  readonly uuid: string;
  readonly name: string;
  readonly hypervisor: string;
  readonly disk_template: string;
  readonly admin_state: Instance['admin_state'];
  readonly admin_state_source: Instance['admin_state_source'];
  readonly owner: Owner;
  readonly node_name: string;
  /** The boot that its node is in now; another than `owner.boot`: the node was restarted since. */
  readonly node_boot: number;
  readonly node_offline: boolean;
  readonly disks: readonly { readonly template: string; readonly spec: DiskSpec }[];
}

export function instanceFacts(state: StateView, ref: string): InstanceFacts {
  const instance = needInstance(state, ref);
  const node = state.get('nodes', instance.owner.node);
  if (!node)
    throw new OpError(
      'OpExecError',
      `instance ${instance.name} is owned by ${instance.owner.node}, which is no node`,
      'internal_error',
    );
  return {
    uuid: instance.uuid,
    name: instance.name,
    hypervisor: instance.hypervisor,
    disk_template: instance.disk_template,
    admin_state: instance.admin_state,
    admin_state_source: instance.admin_state_source,
    owner: instance.owner,
    node_name: node.name,
    node_boot: node.boot,
    node_offline: node.offline,
    disks: instance.disks.map((uuid, index) => diskOf(state, instance.name, uuid, index)),
  };
}

/**
 * Whether the instance would be guarded otherwise than it is if it were started under a new epoch: so much may have
 * changed since (tags, policies, hosts that joined). `wall_s`: now, in seconds.
 */
export function guardWouldChange(state: StateView, uuid: string, wall_s: number): boolean {
  const instance = needInstance(state, uuid);
  const node = state.get('nodes', instance.owner.node);
  const disks = instance.disks.map((disk) => state.get('disks', disk)).filter((disk) => disk !== undefined);
  const group = (node && state.get('groups', node.group)) ?? null;
  const nodes = state.list('nodes');
  return isToBeGuarded(clusterOf(state), instance, disks, group, nodes, wall_s) !== instance.guarded;
}

function diskOf(
  state: StateView,
  instance_name: string,
  uuid: string,
  index: number,
): InstanceFacts['disks'][number] {
  const disk = state.get('disks', uuid);
  if (!disk)
    throw new OpError(
      'OpExecError',
      `disk ${uuid} of instance ${instance_name} is not in the configuration`,
      'internal_error',
    );
  const { size, mode, logical_id } = disk;
  return { template: disk.dev_type, spec: { uuid, instance_name, index, size, mode, logical_id } };
}
