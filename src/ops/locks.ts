/**
 * The lock table: who holds what, who waits for whom. Pure; the engine of one term owns one.
 *
 * Guarantees: all locks of a job are granted together or none, so there is no deadlock; an exclusive lock is held by
 * one job alone; a waiting job's claims bind every job behind it in the queue (priority, then id), so nobody starves
 * among equals; a job that was overtaken {@link max_overtakes} times by more urgent ones goes first.
 * `cluster` is the big lock: nearly every job takes it shared, so that its exclusive holder is alone.
 */
import type { LockRequest } from '../config/model.ts';

/** After this many more urgent jobs went first on locks that it waits for, a job is served before all others. */
export const max_overtakes = 64;

export interface LockTable {
  /** Takes locks that a running job already has by the log. Throws when they contradict another holder's. */
  retake(job: number, requests: readonly LockRequest[]): void;
  /** Enters the queue, or changes place and claims there. */
  request(job: number, priority: number, requests: readonly LockRequest[]): void;
  /** Gives up everything, held or waited for. */
  release(job: number): void;
  /**
   * Grants what can be granted, in queue order, to at most `slots` jobs; answers them in that order. Jobs that `apart`
   * chooses have slots of their own instead.
   */
  grant(slots: number, apart?: (job: number) => boolean, apart_slots?: number): readonly number[];
  /** The jobs that stand between a waiting job and its locks, with the lock concerned; [] when none does. */
  blockers(job: number): readonly { readonly job: number; readonly lock: string }[];
  /** Everything held, for listings. */
  held(): readonly { readonly job: number; readonly lock: string; readonly exclusive: boolean }[];
  readonly waiting: number;
}

interface Waiter {
  readonly job: number;
  priority: number;
  requests: readonly LockRequest[];
  overtaken: number;
}

/** One request a lock name; exclusive wins. */
export function mergeLocks(requests: readonly LockRequest[]): readonly LockRequest[] {
  const merged = new Map<string, boolean>();
  for (const { name, exclusive } of requests) merged.set(name, exclusive || (merged.get(name) ?? false));
  return [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, exclusive]) => ({ name, exclusive }));
}

export function createLockTable(): LockTable {
  /** lock -> holder -> exclusive */
  const holders = new Map<string, Map<number, boolean>>();
  const owned = new Map<number, readonly LockRequest[]>();
  const queue = new Map<number, Waiter>();

  const order = (): Waiter[] =>
    [...queue.values()].sort((a, b) => {
      const urgency = Number(b.overtaken >= max_overtakes) - Number(a.overtaken >= max_overtakes);
      return urgency || a.priority - b.priority || a.job - b.job;
    });

  function conflict(
    job: number,
    requests: readonly LockRequest[],
    table: typeof holders,
  ): { job: number; lock: string } | null {
    for (const { name, exclusive } of requests) {
      for (const [other, other_exclusive] of table.get(name) ?? []) {
        if (other !== job && (exclusive || other_exclusive)) return { job: other, lock: name };
      }
    }
    return null;
  }

  function enter(table: typeof holders, job: number, requests: readonly LockRequest[]): void {
    for (const { name, exclusive } of requests) {
      const entry = table.get(name) ?? new Map<number, boolean>();
      table.set(name, entry.set(job, exclusive));
    }
  }

  function take(job: number, requests: readonly LockRequest[]): void {
    const other = conflict(job, requests, holders);
    if (other)
      throw new Error(`lock table broken: job ${job} takes ${other.lock}, which job ${other.job} holds`);
    enter(holders, job, requests);
    owned.set(job, requests);
  }

  return {
    retake(job, requests) {
      queue.delete(job);
      take(job, mergeLocks(requests));
    },
    request(job, priority, requests) {
      if (owned.has(job)) throw new Error(`lock table broken: job ${job} asks again for what it holds`);
      const waiter = queue.get(job);
      if (waiter) {
        waiter.priority = priority;
        waiter.requests = mergeLocks(requests);
      } else queue.set(job, { job, priority, requests: mergeLocks(requests), overtaken: 0 });
    },
    release(job) {
      queue.delete(job);
      for (const { name } of owned.get(job) ?? []) {
        const entry = holders.get(name);
        entry?.delete(job);
        if (entry?.size === 0) holders.delete(name);
      }
      owned.delete(job);
    },
    grant(slots, apart = () => false, apart_slots = 0) {
      const granted: number[] = [];
      const left = { ordinary: slots, apart: apart_slots };
      if ((slots <= 0 && apart_slots <= 0) || queue.size === 0) return granted;
      const claims: typeof holders = new Map();
      for (const waiter of order()) {
        if (left.ordinary <= 0 && left.apart <= 0) break;
        const kind = apart(waiter.job) ? 'apart' : 'ordinary';
        // Without a slot it could not use its locks anyway: it must not keep them from those apart.
        if (kind === 'ordinary' && left.ordinary <= 0) continue;
        const free =
          left[kind] > 0 &&
          conflict(waiter.job, waiter.requests, holders) === null &&
          conflict(waiter.job, waiter.requests, claims) === null;
        if (free) {
          queue.delete(waiter.job);
          take(waiter.job, waiter.requests);
          granted.push(waiter.job);
          left[kind] -= 1;
          continue;
        }
        enter(claims, waiter.job, waiter.requests);
      }
      countOvertakes(granted, queue, owned);
      return granted;
    },
    blockers(job) {
      const waiter = queue.get(job);
      if (!waiter) return [];
      const found = new Map<number, string>();
      const ahead: typeof holders = new Map();
      for (const other of order()) {
        if (other.job === job) break;
        enter(ahead, other.job, other.requests);
      }
      for (const table of [holders, ahead]) {
        for (const { name, exclusive } of waiter.requests) {
          for (const [other, other_exclusive] of table.get(name) ?? []) {
            if ((exclusive || other_exclusive) && !found.has(other)) found.set(other, name);
          }
        }
      }
      return [...found].map(([other, lock]) => ({ job: other, lock }));
    },
    held() {
      return [...owned].flatMap(([job, requests]) =>
        requests.map(({ name, exclusive }) => ({ job, lock: name, exclusive })),
      );
    },
    get waiting() {
      return queue.size;
    },
  };
}

/** A waiter is overtaken when a younger job got a lock that the waiter's claims contradict. */
function countOvertakes(
  granted: readonly number[],
  queue: ReadonlyMap<number, Waiter>,
  owned: ReadonlyMap<number, readonly LockRequest[]>,
): void {
  for (const waiter of queue.values()) {
    const wanted = new Map(waiter.requests.map(({ name, exclusive }) => [name, exclusive]));
    for (const job of granted) {
      if (job < waiter.job) continue;
      const contradicts = owned.get(job)?.some(({ name, exclusive }) => {
        const mine = wanted.get(name);
        return mine !== undefined && (mine || exclusive);
      });
      if (contradicts) waiter.overtaken++;
    }
  }
}
