/**
 * What an htool has of a running cluster: the agent of its host, behind the few things that are asked of it. Whoever
 * starts the htool hands it in ({@link World.openAgent}); nothing here knows sockets.
 */
import type { OpInput } from '../../src/config/model.ts';
import type { PlacementCluster } from '../../src/placement/cluster.ts';

export interface AgentJob {
  readonly ops: readonly OpInput[];
  readonly priority: number;
  /** Recorded with it. */
  readonly reason: string;
}

export interface EndedJob {
  readonly id: number;
  readonly status: 'success' | 'error' | 'canceled';
  /** null: it ended well. */
  readonly problem: string | null;
}

/** All of these reject with {@link AgentError}. */
export interface Agent {
  /** As it is now; nodes and instances by name. */
  cluster(): Promise<PlacementCluster>;
  /** Of these instances those that are up, or are to be. */
  upOf(names: readonly string[]): Promise<readonly string[]>;
  /** Never makes a job twice, whatever becomes of the connection. To their ids. */
  submit(jobs: readonly AgentJob[]): Promise<readonly number[]>;
  /** Resolves with a job when it has ended. */
  ended(id: number): Promise<EndedJob>;
  /** Ends the connection; whoever waits for something is told, or never hears. */
  close(): Promise<void>;
}

/** What the agent, or the way to it, says no with; the text says what to try, too. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
}
