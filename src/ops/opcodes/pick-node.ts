/** The opcodes' one door to placement: a node for a new instance, or a target for a failover. */

import type { Instance, Node } from '../../config/model.ts';
import { fillBeParams } from '../../config/params.ts';
import { chooseNode, explainRefusals, type PlacementRequest } from '../../placement/choose-node.ts';
import type { RunContext } from '../op-context.ts';
import { OpError } from '../types.ts';
import { clusterOf, needNode } from './lookup.ts';

/** Throws `insufficient_resources` saying of every node why it will not do. */
export function pickNode(ctx: RunContext, request: PlacementRequest): Node {
  const { state } = ctx;
  const cluster = clusterOf(state);
  const instances = state.list('instances').map((instance) => ({
    uuid: instance.uuid,
    node: instance.owner.node,
    admin_state: instance.admin_state,
    memory_mib: fillBeParams(cluster, instance).maxmem,
  }));
  const placement = chooseNode(
    {
      nodes: state.list('nodes'),
      groups: state.list('groups'),
      instances,
      live: (uuid) => ctx.ports.live(uuid),
    },
    request,
  );
  if (placement.chosen === null) {
    throw new OpError(
      'OpPrereqError',
      `no node will do: ${explainRefusals(placement.refused)}`,
      'insufficient_resources',
    );
  }
  return needNode(state, placement.chosen.node);
}

/** A node that may own an instance; throws naming what is against it. `drained` nodes take nothing new. */
export function needUsableNode(node: Node): Node {
  const against = [
    node.offline && 'is marked offline',
    node.drained && 'is drained',
    !node.vm_capable && 'is not vm_capable',
    node.health !== 'member' && `is ${node.health}`,
  ].filter((text) => text !== false);
  if (against.length === 0) return node;
  throw new OpError('OpPrereqError', `node ${node.name} ${against.join(' and ')}`, 'wrong_state');
}

/** Where a failover goes. `may_stay`: its own node will do too, because that has restarted since. */
export function pickTarget(
  ctx: RunContext,
  instance: Instance,
  wanted: string | null,
  may_stay: boolean,
): Node {
  if (wanted !== null) {
    const node = needNode(ctx.state, wanted);
    if (node.uuid !== instance.owner.node) return needUsableNode(node);
    if (may_stay) return node;
    throw new OpError(
      'OpPrereqError',
      `instance ${instance.name} is on node ${node.name} already`,
      'wrong_state',
    );
  }
  const cluster = clusterOf(ctx.state);
  return pickNode(ctx, {
    instance: instance.uuid,
    memory_mib: instance.admin_state === 'up' ? fillBeParams(cluster, instance).minmem : 0,
    local_disk_mib: 0,
    disk_template: instance.disk_template,
    current_node: instance.owner.node,
    group: ctx.state.get('nodes', instance.owner.node)?.group ?? null,
    exclude: may_stay ? new Map() : new Map([[instance.owner.node, 'owns it already']]),
  });
}
