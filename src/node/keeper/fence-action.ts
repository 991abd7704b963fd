/**
 * What the keeper must do to protected processes, from the clock and the lease alone (docs/ha.md, "On the node").
 * Pure and total. Guarantees: from deadline + K/2 on nothing protected is left both running and unproven; nothing is
 * thawed without a live deadline. It must never trust what the agent meant to do, only what it proved.
 */

export interface FenceLease {
  /** Sent-at + L of the last granted renewal, on the host's boot-time clock; 0: no lease in this keeper's life. */
  readonly deadline_ms: number;
  /** K */
  readonly guard_slack_ms: number;
}

export interface FenceProcess {
  readonly name: string;
  readonly protected: boolean;
  /** The agent proved that its CPUs are stopped and its I/O drained. */
  readonly paused_proven: boolean;
  readonly frozen: boolean;
}

export interface FenceActions {
  readonly freeze: readonly string[];
  readonly kill: readonly string[];
  readonly thaw: readonly string[];
  /** When to look again at the latest; null: only when something changes. */
  readonly next_ms: number | null;
}

/** No lease was ever given. */
export const no_lease: FenceLease = { deadline_ms: 0, guard_slack_ms: 0 };

/** When the fence falls, on the boot-time clock: half of the slack after the deadline. */
export function fenceAtMs(lease: FenceLease): number {
  return lease.deadline_ms === 0 ? 0 : lease.deadline_ms + lease.guard_slack_ms / 2;
}

/** Whether a protected process may be started or thawed now. */
export function leaseIsLive(now_ms: number, lease: FenceLease): boolean {
  return now_ms < lease.deadline_ms;
}

/** Freeze what is proven paused, kill the other protected ones, thaw under a live deadline; see the file's head. */
export function fenceAction(
  now_ms: number,
  lease: FenceLease,
  processes: readonly FenceProcess[],
): FenceActions {
  const freeze: string[] = [];
  const kill: string[] = [];
  const thaw: string[] = [];
  const fence_at_ms = fenceAtMs(lease);
  const expired = now_ms >= fence_at_ms;
  const live = leaseIsLive(now_ms, lease);
  let guarded = false;
  for (const p of processes) {
    if (!p.protected) continue;
    if (expired) {
      if (!p.paused_proven) kill.push(p.name);
      else if (!p.frozen) freeze.push(p.name);
    } else if (p.frozen && !p.paused_proven) {
      // Its proof was withdrawn behind the fence: a resume may already wait in its monitor socket.
      kill.push(p.name);
    } else {
      if (p.frozen && live) thaw.push(p.name);
      guarded = true;
    }
  }
  return { freeze, kill, thaw, next_ms: guarded ? fence_at_ms : null };
}

/**
 * The lease after the agent has sent a line. A smaller deadline counts only with `reset`; one that lies further ahead
 * than `max_ahead_ms` is a fault of the agent and changes nothing.
 */
export function nextLease(
  now_ms: number,
  lease: FenceLease,
  line: { readonly deadline_ms: number; readonly guard_slack_ms: number; readonly reset: boolean },
): FenceLease {
  if (line.deadline_ms > now_ms + max_ahead_ms) return lease;
  if (line.deadline_ms < lease.deadline_ms && !line.reset) return lease;
  return { deadline_ms: line.deadline_ms, guard_slack_ms: line.guard_slack_ms };
}

/** No lease or master role is believed further ahead than this: a leader that errs by a unit must not unguard a host. */
export const max_ahead_ms = 600_000;
