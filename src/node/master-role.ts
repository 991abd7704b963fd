/**
 * The master's address: held while this member leads, and only then.
 *
 * `start` runs after the term's own entry is applied here (`established`) and the keeper has been given a deadline;
 * the deadline is extended only from quorum rounds, counted from their beginning. On losing either, `stop` runs. A
 * `stop` that fails is followed by removing the address directly (the driver's part) and keeps this host from taking
 * the address again until a `stop` has succeeded; it leads on without it, loudly.
 */
import type { MasterIpDriver, MasterIpParams } from '../drivers/types.ts';
import type { Env } from './real-env.ts';

export interface MasterRoleDeps {
  readonly env: Env;
  readonly driver: MasterIpDriver;
  /** Resolves when it is durable with the keeper and no release by the keeper is under way. */
  setMaster(deadline_ms: number, params: MasterIpParams | null): Promise<void>;
  /** A later deadline for the address that is up. */
  extendMaster(deadline_ms: number, params: MasterIpParams): void;
  /** null: this member may not hold the address now. Otherwise until when, by the last quorum round. */
  deadline(): number | null;
  /** null: the cluster has no master IP, or this host has no state yet. */
  params(): MasterIpParams | null;
  onChange(held: boolean): void;
}

export interface MasterRole {
  /** Something changed: role, parameters. Cheap; acts in the background, one act at a time. */
  wake(): void;
  /** The keeper took the address down by itself. */
  dropped(): void;
  held(): boolean;
  /** Why the address is not held although this member leads; '' if nothing is wrong. */
  trouble(): string;
  /** Takes the address down and stays down. */
  close(): Promise<void>;
}

const extend_every_ms = 250;
const first_retry_ms = 1_000;
const last_retry_ms = 10_000;

const same = (a: MasterIpParams | null, b: MasterIpParams | null) => JSON.stringify(a) === JSON.stringify(b);

export function createMasterRole(deps: MasterRoleDeps): MasterRole {
  const { env, driver } = deps;
  let up: MasterIpParams | null = null;
  /** What the last `start` and the last `stop` had to complain of. */
  let start_trouble = '';
  let stop_trouble = '';
  let closing = false;
  let busy: Promise<void> | null = null;
  let again = false;
  let retry_at_ms = 0;
  let retry_ms = first_retry_ms;
  /** A start under way: it must not keep the address up beside the next leader's, however long its script hangs. */
  let starting: { readonly params: MasterIpParams; readonly abort: AbortController } | null = null;
  /** A stop that failed and must succeed first. */
  let pending_stop: MasterIpParams | null = null;

  /** What should be up now. */
  const wanted = (): MasterIpParams | null => (closing || deps.deadline() === null ? null : deps.params());

  let announced = false;
  function announce(held: boolean): void {
    if (announced === held) return;
    announced = held;
    deps.onChange(held);
  }

  function tryLater(): void {
    retry_at_ms = env.now_ms() + retry_ms;
    retry_ms = Math.min(2 * retry_ms, last_retry_ms);
  }

  async function takeDown(params: MasterIpParams): Promise<void> {
    up = null;
    announce(false);
    try {
      await driver.stop(params);
      stop_trouble = '';
    } catch (error) {
      stop_trouble = `the master IP's stop script failed, this host will not take the address before it succeeds: ${(error as Error).message}`;
      env.log('error', stop_trouble);
      tryLater();
      pending_stop = params;
      return;
    }
    pending_stop = null;
    if (deps.deadline() === null) await deps.setMaster(0, null);
  }

  async function bringUp(params: MasterIpParams): Promise<void> {
    const deadline_ms = deps.deadline();
    if (deadline_ms === null) return;
    await deps.setMaster(deadline_ms, params);
    if (deps.deadline() === null) {
      await deps.setMaster(0, null);
      return;
    }
    if (env.now_ms() >= deadline_ms) {
      // The keeper took so long that its deadline has passed: it is told a new one first.
      again = true;
      return;
    }
    up = params;
    const abort = new AbortController();
    starting = { params, abort };
    try {
      await driver.start(params, abort.signal);
      retry_ms = first_retry_ms;
      start_trouble = '';
    } catch (error) {
      if (abort.signal.aborted) {
        await takeDown(params);
        again = true;
        return;
      }
      start_trouble = `the master IP's start script failed: ${(error as Error).message}`;
      env.log('error', start_trouble);
      tryLater();
      await takeDown(params);
      return;
    } finally {
      starting = null;
    }
    if (up !== params) {
      // The keeper let go of the address while the script was at it: which of them came last, nobody knows.
      await takeDown(params);
      again = true;
      return;
    }
    // Leadership may have gone while the script ran: the loop looks again before it rests.
    announce(true);
  }

  async function work(): Promise<void> {
    do {
      again = false;
      if (env.now_ms() < retry_at_ms && !closing) return;
      if (pending_stop) await takeDown(pending_stop);
      if (pending_stop) return;
      const target = wanted();
      if (up && !same(up, target)) await takeDown(up);
      if (!up && target && !pending_stop && env.now_ms() >= retry_at_ms) await bringUp(target);
    } while (again || (!same(up, wanted()) && env.now_ms() >= retry_at_ms));
  }

  function wake(): void {
    if (busy) {
      again = true;
      if (starting !== null && !same(starting.params, wanted())) starting.abort.abort();
      return;
    }
    if (same(up, wanted()) && !pending_stop) return;
    busy = work()
      .catch((error: Error) => env.log('error', 'master role', { error: error.stack }))
      .finally(() => {
        busy = null;
      });
  }

  let cancel_timer: () => void = () => undefined;
  let extended_to_ms = 0;
  const extend = () => {
    const deadline_ms = deps.deadline();
    if (up && deadline_ms !== null && deadline_ms !== extended_to_ms) {
      extended_to_ms = deadline_ms;
      deps.extendMaster(deadline_ms, up);
    }
    wake();
    if (!closing) cancel_timer = env.after(extend_every_ms, extend);
  };
  cancel_timer = env.after(extend_every_ms, extend);

  return {
    wake,
    dropped() {
      up = null;
      announce(false);
      wake();
    },
    held: () => up !== null,
    trouble: () => [stop_trouble, start_trouble].filter((text) => text !== '').join('; '),
    async close() {
      closing = true;
      cancel_timer();
      starting?.abort.abort();
      while (busy) await busy;
      wake();
      if (busy) await busy;
      // A stop that failed is the keeper's now: what it is not told to forget, it takes down by itself.
      if (!pending_stop) await deps.setMaster(0, null);
    },
  };
}
