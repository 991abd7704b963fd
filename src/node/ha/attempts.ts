/**
 * What became of the leader's repairs, instance by instance, and when one may be tried again. Pure: (attempts, view) →
 * attempts. A repair has succeeded only when its guest has run for a minute: a job that ended well and a guest that
 * ended again right after it are a crash loop, and a crash loop must be slowed down like any other failure.
 */
import type { Instance, Job } from '../../config/model.ts';
import type { LiveNode } from '../../ops/types.ts';
import type { HaView } from '../ha-types.ts';
import { evidenceFor, isWell } from './evidence.ts';

/** A guest that ended again within this time was not repaired. */
export const stable_ms = 60_000;
const first_retry_ms = 1000;
const last_retry_ms = 300_000;

/** How long an instance is left alone after its `count`th failure in a row: 1 s doubling to 5 min. */
export function retryDelayMs(count: number): number {
  return count <= 0 ? 0 : Math.min(first_retry_ms * 2 ** Math.min(count - 1, 20), last_retry_ms);
}

/** The last repair of an instance. `at_ms`: since when it is in this state, on the leader's clock. */
export interface Attempt {
  readonly job: number;
  /** Attempts in a row, this one included, of which none has succeeded yet. */
  readonly count: number;
  /** `running`: the job has not ended. `started`: it ended well, and the guest has to show that it stays. */
  readonly state: 'running' | 'started' | 'failed';
  readonly at_ms: number;
}

export type Attempts = ReadonlyMap<string, Attempt>;

export interface AttemptsView extends Omit<HaView, 'failures'> {
  readonly job_ended_at_ms: ReadonlyMap<string, number>;
  /** undefined: not in the configuration any more. */
  job(id: number): Job | undefined;
}

/** The attempts after this look. Those of instances that are gone or shall not run are forgotten. */
export function tendAttempts(attempts: Attempts, view: AttemptsView): Attempts {
  if (attempts.size === 0) return attempts;
  const instances = new Map(view.instances.map((instance) => [instance.uuid, instance]));
  const next = new Map<string, Attempt>();
  for (const [uuid, attempt] of attempts) {
    const instance = instances.get(uuid);
    if (instance === undefined || instance.admin_state !== 'up') continue;
    const after = nextAttempt(attempt, instance, view);
    if (after !== null) next.set(uuid, after);
  }
  return next;
}

/** null: it has succeeded. */
function nextAttempt(attempt: Attempt, instance: Instance, view: AttemptsView): Attempt | null {
  const become = (state: Attempt['state']): Attempt => ({ ...attempt, state, at_ms: view.now_ms });
  switch (attempt.state) {
    case 'running': {
      const job = view.job(attempt.job);
      if (job !== undefined && job.end_timestamp === null) return attempt;
      return become(job?.status === 'success' ? 'started' : 'failed');
    }
    case 'started': {
      // While another job works on it, nothing that is seen of it is its own doing.
      if (view.busy.has(instance.uuid)) return attempt;
      const seen_ms = seenAtMs(instance, view);
      if (seen_ms === null) return attempt;
      if (seen_ms - attempt.at_ms >= stable_ms) return null;
      return hasEnded(instance, view) ? become('failed') : attempt;
    }
    case 'failed':
      // Somebody else started it.
      return !view.busy.has(instance.uuid) && isSeenRunning(instance, view) ? become('started') : attempt;
  }
}

/** When its owner's node, if that is well and of the right boot, said last what it runs; null: it cannot be asked. */
function seenAtMs(instance: Instance, view: AttemptsView): number | null {
  const owner = view.nodes.find((node) => node.uuid === instance.owner.node);
  const live = view.live.get(instance.owner.node);
  if (owner === undefined || live === undefined || !isWell(view, owner)) return null;
  return evidenceFor(view, owner.uuid, instance.owner.boot) === null ? view.now_ms - live.age_ms : null;
}

function isSeenRunning(instance: Instance, view: AttemptsView): boolean {
  const seen_ms = seenAtMs(instance, view);
  const ended_at_ms = view.job_ended_at_ms.get(instance.uuid) ?? 0;
  if (seen_ms === null || seen_ms <= ended_at_ms) return false;
  const guests = view.live.get(instance.owner.node)?.guests ?? [];
  return guests.some(
    (guest) =>
      guest.uuid === instance.uuid && guest.epoch === instance.owner.epoch && guest.state !== 'shutdown',
  );
}

function hasEnded(instance: Instance, view: AttemptsView): boolean {
  const live = view.live.get(instance.owner.node);
  return live !== undefined && runsNot(instance, live, view.now_ms, view.job_ended_at_ms);
}

/**
 * Whether its node says that it does not run: by live data newer than the last job on it. A guest of an older epoch
 * is first ended by its own node.
 */
export function runsNot(
  instance: Instance,
  live: LiveNode,
  now_ms: number,
  job_ended_at_ms: ReadonlyMap<string, number> | undefined,
): boolean {
  if (live.boot !== instance.owner.boot) return false;
  const ended_at_ms = job_ended_at_ms?.get(instance.uuid);
  if (ended_at_ms !== undefined && now_ms - live.age_ms <= ended_at_ms) return false;
  const guest = live.guests.find((candidate) => candidate.uuid === instance.uuid);
  return guest === undefined || (guest.state === 'shutdown' && guest.epoch === instance.owner.epoch);
}

/** What the decider sees of them: only failures make it wait. */
export function failuresOf(attempts: Attempts): HaView['failures'] {
  return new Map([...attempts].filter(([, attempt]) => attempt.state === 'failed'));
}
