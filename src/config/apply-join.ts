/**
 * How a host becomes a node: with a token, which is consumed by the same entry; and how a host that is a node already,
 * by its PeerId, is let in anew.
 *
 * Whoever asks again has begun nothing yet (its answer was lost, its disk was full), or it lost what it kept, and may
 * have voted. Only the `life` tells: an agent names the same one until it begins as a member. For the same token and
 * life the answer is that of before; everybody else becomes a new node in place of the former one, with another uuid and
 * another member number, so that no vote, lease, boot or step of the former says anything of it. It is what `node-remove`
 * and a join would make, in one entry; the Raft group lets the former number go as that of any node that is gone.
 *
 * It must never give a number to a host that may have spoken under it, nor the place of a node that owns an instance, is
 * being worked on, or is not proven lost: a second host with its key may be about, or its host may be in already and this
 * entry be a late one, of an asking that it gave up.
 */
import { poolIsShort, refuseIfLastCandidate } from './apply-node.ts';
import { forgetUnseen } from './apply-recover.ts';
import type { Command, NodeJoined } from './commands.ts';
import type { Draft } from './draft.ts';
import { horizonMs } from './horizon.ts';
import { isFinal } from './job-status.ts';
import { meta_key } from './keys.ts';
import type { JoinToken, Node } from './model.ts';
import { refuse } from './refused.ts';

type NodeJoin = Extract<Command, { type: 'node-join' }>;

/** Uses up a join token. The token stays, bound to the peer that used it: this peer may ask again, and no other. */
export function applyNodeJoin(draft: Draft, command: NodeJoin): NodeJoined {
  draft.cluster();
  const token = tokenFor(draft, command);
  const present = nodeOf(draft, command.peer_id);
  if (token.used_by !== '') {
    if (present === null)
      return refuse(
        'denied',
        `join token ${token.id} was used by a node that was removed since: ask for a new one`,
      );
    // Entries of before lives were said are applied as they were then.
    if (command.life === undefined || command.life === present.joined_in)
      return { uuid: present.uuid, member: present.member };
    refuseExpired(token, command);
  }
  const former = command.life !== undefined && present?.name === command.name ? present : null;
  if (former !== null) refuseUnlessGone(draft, former, command);
  refuseTaken(draft, command, former);
  draft.group(token.group);

  const meta = draft.meta();
  draft.put('meta', meta_key, { ...meta, next_member: meta.next_member + 1 });
  draft.put('tokens', token.id, { ...token, used_by: command.peer_id });
  if (former !== null) {
    forgetUnseen(draft, former.uuid);
    draft.delete('nodes', former.uuid);
  }
  const master_candidate = token.master_capable && poolIsShort(draft);
  if (former?.master_candidate === true && !master_candidate) refuseIfLastCandidate(draft, former);
  draft.put('nodes', command.uuid, {
    uuid: command.uuid,
    serial_no: 1,
    ctime: command.time,
    mtime: command.time,
    // What people said about the host, and no token says.
    tags: former?.tags ?? [],
    ndparams: former?.ndparams ?? {},
    name: command.name,
    member: meta.next_member,
    peer_id: command.peer_id,
    ...(command.life === undefined ? {} : { joined_in: command.life }),
    addresses: command.addresses,
    primary_ip: command.primary_ip,
    secondary_ip: command.primary_ip,
    group: token.group,
    offline: false,
    drained: false,
    master_candidate,
    master_capable: token.master_capable,
    vm_capable: token.vm_capable,
    boot: command.boot,
    health: 'member',
    health_since: command.time,
    health_reason: '',
  });
  return { uuid: command.uuid, member: meta.next_member };
}

/** One that is unused, or was used by the same peer, and then perhaps long ago. */
function tokenFor(draft: Draft, command: NodeJoin): JoinToken {
  const token = draft.get('tokens', command.token);
  // One answer for both, so that nobody learns which ids exist.
  if (token === undefined || token.secret_hash !== command.secret_hash) {
    return refuse(
      'denied',
      `join token ${command.token} is not valid: expected one that this cluster made and still knows`,
    );
  }
  if (token.used_by === command.peer_id) return token;
  if (token.used_by !== '')
    refuse('denied', `join token ${token.id} was used by another host: ask for a new one`);
  refuseExpired(token, command);
  return token;
}

function refuseExpired(token: JoinToken, command: NodeJoin): void {
  if (token.expires <= command.time)
    refuse('denied', `join token ${token.id} has expired: ask for a new one`);
}

function nodeOf(draft: Draft, peer_id: string): Node | null {
  for (const node of draft.values('nodes')) if (node.peer_id === peer_id) return node;
  return null;
}

/** @param former whose name, PeerId and address the new node may have */
function refuseTaken(draft: Draft, command: NodeJoin, former: Node | null): void {
  for (const node of draft.values('nodes')) {
    if (node.uuid === command.uuid)
      refuse('exists', `the uuid ${command.uuid} is taken by node ${node.name}`);
    if (node.uuid === former?.uuid) continue;
    if (node.name === command.name)
      refuse(
        'exists',
        `there is a node ${command.name} already: skein join --name OTHER, or ${removing(node)}`,
      );
    if (node.peer_id === command.peer_id)
      refuse(
        'exists',
        `this host is a member already, as node ${node.name}: skein join --name ${node.name}, or ${removing(node)}`,
      );
    if (node.primary_ip === command.primary_ip)
      refuse('exists', `the address ${command.primary_ip} is taken by node ${node.name}: ${removing(node)}`);
  }
}

const removing = (node: Node): string => `remove that node first: skein node remove ${node.name}`;

/** The host that asks has this node's key. Whether it is this node's host, and alone with that key, is for the log to say. */
function refuseUnlessGone(draft: Draft, node: Node, command: NodeJoin): void {
  const no = (why: string): never => refuse('in-use', `node ${node.name} ${why}`);
  for (const { owner, name } of draft.values('instances')) {
    if (owner.node === node.uuid)
      no(
        `owns instance ${name}, and its host cannot be let in anew before that is elsewhere or gone: skein instance failover ${name}, or skein instance remove ${name}`,
      );
  }
  for (const job of draft.values('jobs')) {
    // A step that was done may be undone there yet, by a host that knows what it did.
    const works = !isFinal(job.status) && job.locks.some((lock) => lock.name === `node/${node.uuid}`);
    if (works)
      no(`is being worked on by job ${job.id}: when that has ended, try again (skein job watch ${job.id})`);
  }
  for (const { node: acts, job } of draft.values('steps')) {
    if (acts === node.uuid)
      no(`has a step of job ${job}: when that has ended, try again (skein job watch ${job})`);
  }
  if (node.health === 'lost' || node.health === 'fenced') return;
  const { ha } = draft.cluster();
  const silence_s = Math.ceil(horizonMs(ha, ha) / 1000);
  const sooner = command.life === node.joined_in ? 'at once with the token that let it in' : removing(node);
  no(
    `is not proven lost (its health is ${node.health}): its host is let in anew after ${silence_s} s of silence; try again then, or ${sooner}`,
  );
}
