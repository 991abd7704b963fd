/**
 * What agent and keeper say to each other over the pipe between them: one JSON object a line. The keeper is the parent
 * of the agent and of the guests. Deadlines are milliseconds on the host's boot-time clock (it counts suspended time),
 * never durations from receipt, so that a delayed line extends nothing.
 */
import type { KeptProcess, MasterIpParams, ProcessSpec } from '../drivers/types.ts';

export const keeper_protocol_version = 1;

/** Agent to keeper. Requests carry `id` and are answered by `reply`. */
export type ToKeeper =
  | { readonly type: 'hello'; readonly v: number; readonly pid: number }
  /** The host's lease: sent-at + L of the last granted renewal; with the slack K in force. Replaces the former one; never lowered by a smaller value unless `reset`. */
  | {
      readonly type: 'lease';
      readonly deadline_ms: number;
      readonly guard_slack_ms: number;
      readonly reset: boolean;
    }
  /** Master role: deadline 0 = not master. When it passes, or the agent dies, the keeper takes the address down. */
  | { readonly type: 'master'; readonly deadline_ms: number; readonly params: MasterIpParams | null }
  | { readonly type: 'spawn'; readonly id: number; readonly spec: ProcessSpec }
  | { readonly type: 'kill'; readonly id: number; readonly name: string; readonly timeout_ms: number }
  | { readonly type: 'list'; readonly id: number }
  /** The agent proved (QMP) that this guest's CPUs are stopped and its I/O drained, or takes that back. */
  | { readonly type: 'paused'; readonly name: string; readonly proven: boolean }
  /** Alive; the keeper ends and restarts an agent that is silent for `agent_timeout_ms`. */
  | { readonly type: 'beat' };

/** Keeper to agent. */
export type FromKeeper =
  | {
      readonly type: 'welcome';
      readonly v: number;
      /** Rises exactly when the kernel's boot id changed; synced before it is told. */
      readonly boot: number;
      readonly boot_id: string;
      readonly processes: readonly KeptProcess[];
      readonly watchdog: 'none' | 'unproven' | 'proven';
    }
  | {
      readonly type: 'reply';
      readonly id: number;
      readonly ok: boolean;
      readonly value: unknown;
      readonly error: string;
    }
  | {
      readonly type: 'exit';
      readonly name: string;
      readonly tag: string;
      readonly code: number | null;
      readonly signal: string | null;
      readonly log_tail: string;
    }
  /** The keeper froze or killed protected processes because the lease ran out. */
  | { readonly type: 'fenced'; readonly frozen: readonly string[]; readonly killed: readonly string[] }
  | { readonly type: 'thawed'; readonly names: readonly string[] };
