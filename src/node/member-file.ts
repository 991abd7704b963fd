/**
 * `member.json`: what this host must know of its membership before its replica can tell it: its number, its name, and
 * where its peers are. Written, synced, before the member serves anything; its absence means "in no cluster".
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { Command } from '../config/commands.ts';
import { readJson, removeDurable, writeDurableJson } from './durable-file.ts';

const schema = z.object({
  version: z.literal(1),
  cluster_uuid: z.string(),
  cluster_name: z.string(),
  /** The cluster's generation when this host became a member. */
  generation: z.number().int(),
  member: z.number().int().positive(),
  node_uuid: z.string(),
  node_name: z.string(),
  peers: z.array(z.object({ member: z.number().int(), peer_id: z.string(), addresses: z.array(z.string()) })),
  /** The first member only: proposed at start until the state has a cluster. */
  pending_init: z.unknown().nullable(),
});

export type MemberFile = Omit<z.infer<typeof schema>, 'pending_init'> & {
  readonly pending_init: Command | null;
};

const path = (data_dir: string) => join(data_dir, 'member.json');

export async function readMemberFile(data_dir: string): Promise<MemberFile | null> {
  const value = await readJson(path(data_dir));
  if (value === null) return null;
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new Error(`${path(data_dir)}: ${z.prettifyError(parsed.error)}`);
  return parsed.data as MemberFile;
}

export const writeMemberFile = (data_dir: string, file: MemberFile) => writeDurableJson(path(data_dir), file);
export const removeMemberFile = (data_dir: string) => removeDurable(path(data_dir));

/** Log, state and journal of an earlier membership: gone, durably, before another begins. */
export async function wipeMembership(data_dir: string): Promise<void> {
  for (const name of ['log', 'state', 'journal']) await removeDurable(join(data_dir, name));
}
