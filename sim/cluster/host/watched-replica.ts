/**
 * What waits in a replica, seen from outside: proposals whose answer somebody waits for. It looks on and changes nothing.
 */
import type { ReplicaApi } from '../../../src/consensus/api.ts';

/** What waits now. */
export interface WaitingProposals {
  readonly count: number;
  readonly bytes: number;
}

/** @returns how many proposals, and bytes of them, wait at the time it is asked, of those made from now on */
export function watchReplica(replica: Pick<ReplicaApi, 'propose'>): () => WaitingProposals {
  const propose = replica.propose.bind(replica);
  let count = 0;
  let bytes = 0;
  replica.propose = async (data) => {
    count += 1;
    bytes += data.byteLength;
    try {
      return await propose(data);
    } finally {
      count -= 1;
      bytes -= data.byteLength;
    }
  };
  return () => ({ count, bytes });
}
