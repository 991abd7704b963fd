/**
 * `member.json`: what this host must know of its membership before its replica can tell it: its number, its name, and
 * where its peers are. Written, synced, before the member serves anything; its absence means "in no cluster".
 */
import { z } from 'zod';
import type { Command } from '../config/commands.ts';
import type { Records } from './host.ts';

const origin = { generation: z.number().int(), recovered_s: z.number(), recovered_by: z.string() };

const schema = z.object({
  version: z.literal(1),
  cluster_uuid: z.string(),
  cluster_name: z.string(),
  /** The generation of the cluster that this host is a member of: the founding's is 1, `cluster recover` begins others. */
  generation: z.number().int(),
  member: z.number().int().positive(),
  /** The number is new and the log is that of an earlier one: to be emptied before anything is said (renewal.ts). */
  begin_anew: z.literal(true).optional(),
  node_uuid: z.string(),
  node_name: z.string(),
  peers: z.array(z.object({ member: z.number().int(), peer_id: z.string(), addresses: z.array(z.string()) })),
  /** The first member only: proposed at start until the state has a cluster. */
  pending_init: z.unknown().nullable(),
  /** A recovery that was ordered here: each start first completes it, then clears this (recover-store.ts). */
  pending_recovery: z.exactOptional(
    z.object({
      generation: z.number().int(),
      time: z.number(),
      words: z.array(z.string()),
      index: z.number().int(),
      term: z.number().int(),
    }),
  ),
  /** Likewise: this host is to begin anew as a member of a generation that began without it. */
  pending_follow: z.exactOptional(z.object(origin)),
  /** A member of a later generation greeted this host: it takes part in nothing until an operator decides. */
  superseded: z.exactOptional(z.object(origin)),
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
