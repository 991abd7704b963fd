/**
 * `member.json`: what this host must know of its membership before its replica can tell it: its number, its name, and
 * where its peers are. Written, synced, before the member serves anything; its absence means "in no cluster".
 */
import { z } from 'zod';
import type { Command } from '../config/commands.ts';
import type { Records } from './host.ts';

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

const name = 'member.json';

/** null: this host is in no cluster. */
export async function readMemberFile(records: Records): Promise<MemberFile | null> {
  const value = await records.read(name);
  if (value === null) return null;
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new Error(`${records.pathOf(name)}: ${z.prettifyError(parsed.error)}`);
  return parsed.data as MemberFile;
}

export const writeMemberFile = (records: Records, file: MemberFile) => records.write(name, file);
export const removeMemberFile = (records: Records) => records.remove(name);
