/**
 * The durable side of `cluster recover` and of following it. The order is one write of `member.json`; every start
 * carries out what is ordered there before anything else and clears it. Hence a crash at any moment leaves either the
 * old member, untouched, or the recovered one, perhaps with a start still to come. The replica must be closed.
 */
import { encodeCommand } from '../config/codec.ts';
import { bootstrapLog, openLogStore } from '../consensus/index.ts';
import { planLogRecovery, recoverLogTo } from '../consensus/recover-log.ts';
import type { Host } from './host.ts';
import { type MemberFile, writeMemberFile } from './member-file.ts';
import type { ClusterGeneration } from './mesh-types.ts';

/** A reserve that is there stays; none is made for one write. */
const offline = { reserve_bytes: 0 };

type Stores = Pick<Host, 'membership' | 'openLogDisk'>;

export interface RecoveryOrder {
  readonly generation: number;
  /** Unix seconds. */
  readonly time: number;
  /** uuids of the nodes that the operator says are off. */
  readonly words: readonly string[];
}

/** @throws Error with nothing ordered when the log is damaged or does not know this member */
export async function orderRecovery(host: Stores, file: MemberFile, order: RecoveryOrder): Promise<void> {
  const log = await openLogStore(await host.openLogDisk(), offline);
  try {
    const { index, term } = planLogRecovery(log.initial, file.member);
    const pending_recovery = { ...order, words: [...order.words], index, term };
    await writeMemberFile(host.membership, { ...file, pending_recovery });
  } finally {
    await log.close();
  }
}

/** To a host that stands down: it gives up its log and state, and waits for those of the later generation. */
export async function orderFollow(
  host: Pick<Host, 'membership'>,
  file: MemberFile,
  of: ClusterGeneration,
): Promise<void> {
  await writeMemberFile(host.membership, { ...file, pending_follow: of });
}

/** What `member.json` says once everything that it orders is done. */
export async function completePending(
  host: Stores & Pick<Host, 'wipe'>,
  file: MemberFile,
): Promise<MemberFile> {
  const { pending_recovery: recovery, pending_follow: follow, ...rest } = file;
  if (recovery !== undefined) {
    const { generation, time, words, index, term } = recovery;
    const command = encodeCommand({ type: 'cluster-recover', time, generation, node: file.node_uuid, words });
    const log = await openLogStore(await host.openLogDisk(), offline);
    try {
      await recoverLogTo(log, { self: file.member, index, term }, command);
    } finally {
      await log.close();
    }
    const done = { ...rest, generation };
    await writeMemberFile(host.membership, done);
    return done;
  }
  if (follow !== undefined) {
    const { superseded: _, ...kept } = rest;
    await host.wipe();
    await bootstrapLog(await host.openLogDisk());
    const done = { ...kept, generation: follow.generation, pending_init: null };
    await writeMemberFile(host.membership, done);
    return done;
  }
  return file;
}
