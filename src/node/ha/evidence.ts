/**
 * When a node's loss may be acted upon, and how well a node is (docs/ha.md, "Evidence"). Pure. An operator's `offline`
 * flag, a closed connection or a failed call are no evidence, whatever they look like.
 */
import { horizonMs } from '../../config/horizon.ts';
import type { Evidence, HaParams, Node } from '../../config/model.ts';
import type { HaView, HeardNode } from '../ha-types.ts';
import { suspect_at } from '../lease/node-lease.ts';

export type EvidenceView = Pick<
  HaView,
  'now_ms' | 'leader_since_ms' | 'ha' | 'nodes' | 'heard' | 'unseen' | 'no_power'
>;

/**
 * Evidence that what ran on `node` under `boot` (default: the boot in the log) runs no more, or null.
 * `boot`: it renewed with a higher boot number. `horizon`: T has passed since the last renewal that may have been
 * granted, or since this leader's election if it heard none (rules 6 and 7). Neither counts for a node not seen since the
 * cluster was recovered (docs/recover.md): the lost voters may have given it leases, boots and instances that no log here
 * tells of. `word`: an operator says that such a node is off. `power`: its out-of-band program says that it has none,
 * asked while it was silent; that counts for any node, since all that a host ran is over without power.
 */
export function evidenceFor(view: EvidenceView, node_uuid: string, boot?: number): Evidence | null {
  const node = view.nodes.find((candidate) => candidate.uuid === node_uuid);
  if (node === undefined) return null;
  const heard = view.heard.get(node_uuid);
  const proof = view.no_power?.get(node_uuid);
  if (proof !== undefined && proof.boot >= (boot ?? node.boot) && isSuspect(view, node_uuid))
    return { kind: 'power', text: proof.text };
  const word = view.unseen?.get(node_uuid);
  if (word !== undefined) {
    // Whoever is heard is not off, whatever was said; that it was seen is about to be recorded.
    if (!word || heard?.heard_at_ms != null) return null;
    return {
      kind: 'word',
      text: `an operator said that ${node.name} is off, after the cluster was recovered`,
    };
  }
  const of_boot = boot ?? node.boot;
  const seen_boot = Math.max(node.boot, heard?.boot ?? 0);
  if (seen_boot > of_boot) {
    return { kind: 'boot', text: `${node.name} was seen with boot ${seen_boot}: boot ${of_boot} is over` };
  }
  const since_ms = heardSinceMs(view, heard);
  const silent_ms = view.now_ms - since_ms;
  const horizon_ms = horizonMs(view.ha, heldBy(view.ha, heard));
  if (silent_ms < horizon_ms) return null;
  const whom = heard?.heard_at_ms == null ? 'since this leader was elected' : 'since its last renewal';
  return {
    kind: 'horizon',
    text: `${node.name} not heard for ${Math.round(silent_ms)} ms ${whom}, T is ${horizon_ms} ms`,
  };
}

/** Heard recently enough for new work, in its logged boot, and meant to run guests. */
export function isWell(view: EvidenceView, node: Node): boolean {
  if (node.offline || !node.vm_capable) return false;
  if (node.health !== 'member' && node.health !== 'returning') return false;
  return view.heard.get(node.uuid)?.boot === node.boot && !isSuspect(view, node.uuid);
}

/** Not heard for 0.3 L. A new leader gives everybody that long from its election. */
export function isSuspect(view: EvidenceView, node_uuid: string): boolean {
  const since_ms = heardSinceMs(view, view.heard.get(node_uuid));
  return view.now_ms - since_ms > suspect_at * view.ha.lease_ms;
}

function heardSinceMs(view: EvidenceView, heard: HeardNode | undefined): number {
  return Math.max(heard?.heard_at_ms ?? view.leader_since_ms, view.leader_since_ms);
}

/** The larger of what the node may still hold and what is set now. */
function heldBy(
  ha: HaParams,
  heard: HeardNode | undefined,
): Pick<HaParams, 'lease_ms' | 'guard_slack_ms' | 'kill_ms'> {
  return {
    lease_ms: Math.max(ha.lease_ms, heard?.lease_ms ?? 0),
    guard_slack_ms: Math.max(ha.guard_slack_ms, heard?.guard_slack_ms ?? 0),
    kill_ms: Math.max(ha.kill_ms, heard?.kill_ms ?? 0),
  };
}
