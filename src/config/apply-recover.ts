/**
 * A cluster's new generation, after a majority of its voters was lost for good (docs/recover.md). Until a node is seen
 * in it, whatever the lost voters decided last may be in force there: such a node is never given up on for its silence
 * or its boot number, only on out-of-band power or an operator's word.
 */
import type { Command } from './commands.ts';
import { type Draft, touched } from './draft.ts';
import { cluster_key, meta_key } from './keys.ts';
import type { Evidence, Meta, Recovery } from './model.ts';
import { refuse } from './refused.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

const unseen_reason = 'not seen since the cluster was recovered';

/** The first command of a generation. Every node but the recovered one counts as not seen. Value: null. */
export function applyClusterRecover(draft: Draft, command: Of<'cluster-recover'>): null {
  const before = draft.cluster();
  const { generation, node, words, time } = command;
  if (generation <= before.generation)
    refuse('stale', `generation ${generation} is not above the present ${before.generation}`);
  draft.node(node);
  const others = [...draft.values('nodes')].filter((other) => other.uuid !== node);
  const unseen = others.map(({ uuid }) => ({ node: uuid, word: words.includes(uuid) }));
  for (const other of others) {
    const lost = { health: 'lost', health_since: time, health_reason: unseen_reason } as const;
    draft.put('nodes', other.uuid, touched({ ...other, ...lost }, time));
  }
  draft.put('cluster', cluster_key, touched({ ...before, generation }, time));
  draft.put('meta', meta_key, { ...draft.meta(), recovery: { generation, time, node, unseen } });
  return null;
}

/** A node renewed its lease in this generation. Known already: no change. Value: null. */
export function applyNodeSeen(draft: Draft, command: Of<'node-seen'>): null {
  forgetUnseen(draft, command.uuid);
  return null;
}

/** An operator says that the node is off, and stays so until it has left the cluster. Value: null. */
export function applyNodeWord(draft: Draft, command: Of<'node-word'>): null {
  const { name, uuid } = draft.node(command.uuid);
  const meta = draft.meta();
  const { recovery } = meta;
  if (recovery?.unseen.every((other) => other.node !== uuid) !== false)
    return refuse('invalid', `node ${name} is not one that was not seen since a recovery: no word is needed`);
  const unseen = recovery.unseen.map((other) => (other.node === uuid ? { node: uuid, word: true } : other));
  draft.put('meta', meta_key, { ...meta, recovery: { ...recovery, unseen } });
  return null;
}

/** Takes a node that was seen, or removed, off the list. */
export function forgetUnseen(draft: Draft, uuid: string): void {
  const meta = draft.meta();
  const { recovery } = meta;
  if (recovery?.unseen.some((other) => other.node === uuid) !== true) return;
  const unseen = recovery.unseen.filter((other) => other.node !== uuid);
  draft.put('meta', meta_key, { ...meta, recovery: { ...recovery, unseen } });
}

/** Refuses to take an instance from a node that was not seen in this generation on anything less than power or word. */
export function refuseUnseen(draft: Draft, owner_node: string, evidence: Evidence): void {
  if (evidence.kind === 'power' || evidence.kind === 'word') return;
  if (!unseenNodes(draft.meta().recovery).has(owner_node)) return;
  refuse(
    'invalid',
    `node ${draft.node(owner_node).name} was ${unseen_reason}: expected evidence power or word, not ${evidence.kind}`,
  );
}

/** By uuid, whether an operator gave their word that it is off. */
export function unseenNodes(recovery: Meta['recovery']): ReadonlyMap<string, boolean> {
  const unseen: Recovery['unseen'] = recovery?.unseen ?? [];
  return new Map(unseen.map(({ node, word }) => [node, word]));
}
