/**
 * Commands on nodes: what they are allowed, how they go (how they come: apply-join.ts). Nothing here judges whether a node is alive;
 * that is decided by the leader and arrives as a command.
 */
import { forgetUnseen } from './apply-recover.ts';
import type { Command } from './commands.ts';
import { type Draft, touched } from './draft.ts';
import { meta_key } from './keys.ts';
import type { Node } from './model.ts';
import { refuse } from './refused.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** Whether the cluster has fewer master candidates than it wants (Ganeti's candidate pool). */
export function poolIsShort(draft: Draft): boolean {
  let candidates = 0;
  for (const node of draft.values('nodes')) if (node.master_candidate) candidates += 1;
  return candidates < draft.cluster().candidate_pool_size;
}

const roles = ['offline', 'drained', 'master_candidate'] as const;

/**
 * offline, drained and master candidate exclude one another: setting one clears the others. A node that is brought back
 * becomes a candidate again if the pool is short. Value: null.
 */
export function applyNodeSet(draft: Draft, command: Of<'node-set'>): null {
  const { changes } = command;
  const before = draft.node(command.uuid);
  const raised = roles.filter((role) => changes[role] === true);
  if (raised.length > 1)
    refuse('invalid', `${raised.join(' and ')} exclude one another: expected one of them at most`);

  let after: Node = { ...before, ...changes };
  for (const role of roles) {
    if (raised.length === 1 && role !== raised[0]) after = { ...after, [role]: false };
  }
  if (!after.master_capable) {
    if (changes.master_candidate === true)
      refuse('invalid', `node ${before.name} cannot be master candidate: it is not master_capable`);
    after = { ...after, master_candidate: false };
  }
  const broughtBack = (before.offline || before.drained) && !after.offline && !after.drained;
  if (broughtBack && after.master_capable && changes.master_candidate === undefined && poolIsShort(draft)) {
    after = { ...after, master_candidate: true };
  }

  if (!after.vm_capable) refuseIfItOwns(draft, before, 'cannot lose vm_capable');
  if (after.group !== before.group) draft.group(after.group);
  if (after.primary_ip !== before.primary_ip) {
    for (const node of draft.values('nodes')) {
      if (node.uuid !== before.uuid && node.primary_ip === after.primary_ip) {
        refuse('exists', `the address ${after.primary_ip} is taken by node ${node.name}`);
      }
    }
  }
  if (before.master_candidate && !after.master_candidate) refuseIfLastCandidate(draft, before);
  draft.put('nodes', before.uuid, touched(after, command.time));
  return null;
}

/** Value: null. The member number is not given again. */
export function applyNodeRemove(draft: Draft, command: Of<'node-remove'>): null {
  draft.cluster();
  const node = draft.node(command.uuid);
  refuseIfItOwns(draft, node, 'cannot be removed');
  if (draft.count('nodes') === 1) {
    refuse('in-use', `node ${node.name} cannot be removed: it is the last one (see \`cluster destroy\`)`);
  }
  if (node.master_candidate) refuseIfLastCandidate(draft, node);
  forgetUnseen(draft, node.uuid);
  draft.delete('nodes', node.uuid);
  return null;
}

/** Value: the boot number in force. Never lowered: a late renewal of an older boot changes nothing. */
export function applyNodeBoot(draft: Draft, command: Of<'node-boot'>): number {
  const node = draft.node(command.uuid);
  if (command.boot <= node.boot) return node.boot;
  draft.put('nodes', node.uuid, touched({ ...node, boot: command.boot }, command.time));
  return command.boot;
}

/** Value: the new member number. The old one is not given again, so that nothing said under it counts any more. */
export function applyNodeRenew(draft: Draft, command: Of<'node-renew'>): number {
  const node = draft.node(command.uuid);
  if (node.member !== command.if_member) {
    refuse('stale', `node ${node.name} is member ${node.member}: expected ${command.if_member}`);
  }
  const meta = draft.meta();
  draft.put('meta', meta_key, { ...meta, next_member: meta.next_member + 1 });
  draft.put('nodes', node.uuid, touched({ ...node, member: meta.next_member }, command.time));
  return meta.next_member;
}

/** Value: null. `health_since` tells when the health changed, not when its reason did. */
export function applyNodeHealth(draft: Draft, command: Of<'node-health'>): null {
  const node = draft.node(command.uuid);
  if (node.boot !== command.if_boot) {
    refuse('stale', `node ${node.name} is in boot ${node.boot}: expected ${command.if_boot}`);
  }
  if (node.health === command.health && node.health_reason === command.reason) return null;
  const since = node.health === command.health ? node.health_since : command.time;
  const after = { ...node, health: command.health, health_since: since, health_reason: command.reason };
  draft.put('nodes', node.uuid, touched(after, command.time));
  return null;
}

function refuseIfItOwns(draft: Draft, node: Node, what: string): void {
  for (const instance of draft.values('instances')) {
    if (instance.owner.node === node.uuid) {
      refuse('in-use', `node ${node.name} ${what}: it owns instance ${instance.name}`);
    }
  }
}

export function refuseIfLastCandidate(draft: Draft, node: Node): void {
  for (const other of draft.values('nodes')) {
    if (other.uuid !== node.uuid && other.master_candidate) return;
  }
  refuse('in-use', `node ${node.name} is the last master candidate: make another node one first`);
}
