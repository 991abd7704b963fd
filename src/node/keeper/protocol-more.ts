/**
 * Lines that the protocol needs besides those of keeper-protocol.ts. `sync` is a barrier: the master role must be on
 * the keeper's disk before the address is started, and a withdrawn pause known before a guest is resumed.
 */
import type { MasterIpParams } from '../../drivers/types.ts';
import type { FromKeeper, ToKeeper } from '../keeper-protocol.ts';

/** Answered once every earlier line has taken effect, a release of the master address under way included. */
export type SyncRequest = { readonly type: 'sync'; readonly id: number };

/** The keeper let go of the master address by itself: an agent that still leads must start it again. */
export type MasterDropped = {
  readonly type: 'master-dropped';
  readonly params: MasterIpParams;
  /** '' when the stop script succeeded. */
  readonly error: string;
};

export type KeeperInput = ToKeeper | SyncRequest;
export type KeeperOutput = FromKeeper | MasterDropped;
