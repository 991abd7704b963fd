/**
 * The node's own duty towards the guests it hosts (docs/ha.md, "On the node"): pause protected guests when the lease
 * has not been renewed for 0.65 L, kill at L what is not proven paused, resume when the lease is back and the
 * configuration still names this node, boot and epoch; end at any time what the configuration gave to somebody else.
 * It only ever makes less run than the rules allow; the keeper stands behind it with its own deadline.
 *
 * Guests are dealt with side by side, each call with a bound: one that hangs holds up neither the others nor the next
 * look.
 *
 * A look costs a question to the keeper and to every guest, so it looks when something can have changed: when a stage
 * for a pause or a kill begins, after an act that failed or is not proven yet, when told so; and every second all the
 * same. What is begun here is sent to the keeper while the stage is `ok`, ahead of every question that a later stage
 * asks, and the keeper serves in order: the first look of a stage finds it. A start that takes effect in another way
 * ends in a step, which tells.
 */
import type { StateView } from '../config/api.ts';
import type { Instance } from '../config/model.ts';
import type { GuestInfo, HypervisorDriver } from '../drivers/types.ts';
import type { Drivers } from './drivers.ts';
import type { LeaseStage } from './ha-types.ts';
import type { Env } from './real-env.ts';
import { within } from './within.ts';

export interface GuardDeps {
  readonly env: Env;
  readonly state: StateView;
  readonly drivers: Pick<Drivers, 'hypervisors'>;
  readonly node_uuid: string;
  readonly boot: number;
  stage(): LeaseStage;
  /** Until the lease ends. */
  left_ms(): number;
  /** Until guests are next to be paused or killed if no grant comes; null: no such stage is ahead. */
  nextHarm_ms(): number | null;
  /** null: a live lease whose index is applied here. */
  mayStart(): string | null;
  isProtected(instance: Instance): boolean;
  /** Resolves when the keeper has taken it in. */
  setPaused(name: string, proven: boolean): Promise<void>;
  /** A guest was paused, resumed or ended. */
  changed(): void;
}

export interface Guard {
  /** A renewal, a grant, an entry applied: looks if something that matters here is new. */
  wake(): void;
  /** A step has ended on this node: what it began may run since the last look. */
  acted(): void;
  stop(): void;
}

/** Longest that a pause may take; less when the lease ends before. */
const pause_timeout_ms = 1_000;
const pause_least_ms = 50;
/** Longest wait for a kill, a resume, a word to the keeper; what hangs longer is looked at again. */
const driver_timeout_ms = 10_000;
const list_timeout_ms = 5_000;
const idle_ms = 1_000;
/** Until a look that proves what the last one did. */
const proof_ms = 50;
/** Between two looks at a guest with which something failed. */
const retry_ms = 250;
/**
 * Between two glances at the clock and the log while they may ask for a look soon: a timer stands still while the host
 * is suspended and the lease does not, and an entry that changes nothing wakes nobody.
 */
const glance_ms = 50;
/** A timer comes up to this much too early, or a rounding error does. */
const least_wait_ms = 1;

/** What a look decides by, besides the guests themselves. */
interface Grounds {
  readonly stage: LeaseStage;
  readonly may_start: boolean;
  /** The same array until an instance changes. */
  readonly instances: readonly Instance[];
}

interface Found {
  readonly driver: HypervisorDriver;
  readonly guest: GuestInfo;
}

export function createGuard(deps: GuardDeps): Guard {
  const { env, state, drivers } = deps;
  const limited = <T>(act: Promise<T>, timeout_ms: number, what: string) =>
    within(env.after, act, timeout_ms, what);
  /** Guests that this guard (or an earlier agent of this boot) paused or tried to, by name. */
  const paused = new Set<string>();
  let stopped = false;
  let adopted = false;
  let acting = false;
  let again = false;
  let failed = false;
  /** The last look came upon a guest that is to be proven paused or gone and was not yet. */
  let unproven = false;
  /** Of the look begun last; null: before the first. */
  let seen: Grounds | null = null;
  /** When the next look is due whatever happens. */
  let due_ms = 0;

  const ours = (guest: GuestInfo): Instance | null => {
    const instance = state.get('instances', guest.uuid);
    if (!instance) return null;
    const { owner } = instance;
    return owner.node === deps.node_uuid && owner.boot === deps.boot && owner.epoch === guest.epoch
      ? instance
      : null;
  };

  /** A driver that cannot list says nothing of its guests, and must not hide those of the others. */
  async function guests(): Promise<readonly Found[]> {
    const lists = await Promise.all(
      [...drivers.hypervisors.values()].map(async (driver): Promise<readonly Found[]> => {
        try {
          const found = await limited(driver.list(), list_timeout_ms, `listing ${driver.name} guests`);
          return found.map((guest) => ({ driver, guest }));
        } catch (error) {
          failed = true;
          env.log('error', 'guard: guests cannot be listed', {
            hypervisor: driver.name,
            error: (error as Error).message,
          });
          return [];
        }
      }),
    );
    return lists.flat();
  }

  /** Does `act` for each, side by side; what fails with one is said and tried again. */
  async function forEach(found: readonly Found[], act: (one: Found) => Promise<void>): Promise<void> {
    await Promise.all(
      found.map(async (one) => {
        try {
          await act(one);
        } catch (error) {
          failed = true;
          env.log('error', 'guard', { guest: one.guest.name, error: (error as Error).message });
        }
      }),
    );
  }

  async function end({ driver, guest }: Found, why: string): Promise<void> {
    // A guest of this name may have ended and another begun since the list was made.
    const now = await limited(driver.list(), list_timeout_ms, 'listing guests');
    const same = now.find((one) => one.name === guest.name);
    if (!same || same.uuid !== guest.uuid || same.epoch !== guest.epoch) return;
    env.log('warn', 'ending a guest', { guest: guest.name, epoch: guest.epoch, why });
    await limited(driver.stop(guest.name, 0), driver_timeout_ms, 'ending it');
    paused.delete(guest.name);
    await limited(driver.cleanup(guest.name), driver_timeout_ms, 'cleaning up after it');
    deps.changed();
  }

  /** Superseded: its instance is gone, or belongs to another node, boot or epoch. Only a state that is current says so. */
  async function endSuperseded(found: readonly Found[]): Promise<void> {
    if (deps.mayStart() !== null) return;
    await forEach(
      found.filter(({ guest }) => !ours(guest)),
      (one) => end(one, 'the configuration does not give it to this node, boot and epoch'),
    );
  }

  async function pause({ driver, guest }: Found): Promise<void> {
    const timeout_ms = Math.min(pause_timeout_ms, Math.max(pause_least_ms, deps.left_ms()));
    // Before the act: a pause that took effect after we gave it up must be undone too when the lease is back.
    paused.add(guest.name);
    await limited(driver.pause(guest.name, timeout_ms), timeout_ms, 'pausing it');
    env.log('warn', 'paused a guest: the lease was not renewed', { guest: guest.name });
    deps.changed();
    await limited(deps.setPaused(guest.name, true), driver_timeout_ms, 'telling the keeper');
  }

  async function pauseProtected(found: readonly Found[], kill: boolean): Promise<void> {
    await forEach(found, async (one) => {
      const instance = state.get('instances', one.guest.uuid);
      // What we do not know is treated as protected.
      if (instance && !deps.isProtected(instance)) return;
      // Proof is what the hypervisor says now, not what was done some time ago.
      if (paused.has(one.guest.name) && one.guest.state === 'paused') return;
      unproven = true;
      if (kill) await end(one, 'the lease ran out and it is not proven paused');
      else await pause(one);
    });
  }

  async function resume(one: Found): Promise<void> {
    const { driver, guest } = one;
    if (!ours(guest)) return end(one, 'it was taken over while the lease was away');
    // Withdrawn before the resume: a guest that runs must not count as proven paused.
    await limited(deps.setPaused(guest.name, false), driver_timeout_ms, 'telling the keeper');
    // Looked up again: the wait may have outlived the lease, or the epoch.
    if (deps.mayStart() !== null || !ours(guest)) {
      await limited(deps.setPaused(guest.name, true), driver_timeout_ms, 'telling the keeper');
      return;
    }
    await limited(driver.resume(guest.name), driver_timeout_ms, 'resuming it');
    paused.delete(guest.name);
    env.log('warn', 'resumed a guest: the lease is back', { guest: guest.name });
    deps.changed();
  }

  async function resumeOurs(found: readonly Found[]): Promise<void> {
    if (paused.size === 0 || deps.mayStart() !== null) return;
    const names = new Set(found.map(({ guest }) => guest.name));
    if (!failed) for (const name of paused) if (!names.has(name)) paused.delete(name);
    await forEach(
      found.filter(({ guest }) => paused.has(guest.name)),
      resume,
    );
  }

  /** An earlier agent of this boot may have paused guests. */
  function adoptPaused(found: readonly Found[]): void {
    if (adopted || failed) return;
    for (const { guest } of found) if (guest.state === 'paused') paused.add(guest.name);
    adopted = true;
  }

  const grounds = (): Grounds => ({
    stage: deps.stage(),
    may_start: deps.mayStart() === null,
    instances: state.list('instances'),
  });

  /** A look now could only find what the next one finds anyway: guests that began or ended by themselves. */
  function nothingNew(): boolean {
    if (seen === null) return false;
    const now = grounds();
    if (paused.size > 0 && now.may_start && !failed) return false;
    return now.stage === seen.stage && now.may_start === seen.may_start && now.instances === seen.instances;
  }

  async function once(): Promise<void> {
    failed = false;
    unproven = false;
    seen = grounds();
    const found = await guests();
    adoptPaused(found);
    const stage = deps.stage();
    if (stage === 'pause' || stage === 'kill') {
      await pauseProtected(found, stage === 'kill');
      return;
    }
    await resumeOurs(found);
    await endSuperseded(found);
  }

  function delayToNext(): number {
    // Another stage asks for another act, whatever failed with the last one.
    if (deps.stage() !== seen?.stage) return 0;
    if (failed) return retry_ms;
    if (again || !nothingNew()) return 0;
    return unproven ? proof_ms : idle_ms;
  }

  let cancel: () => void = () => undefined;
  /** Waits until the next look is due, a pause or kill is, or a glance may show that something is new. */
  function wait(): void {
    cancel();
    const harm_ms = deps.nextHarm_ms();
    let wait_ms = due_ms - env.now_ms();
    if (harm_ms !== null) {
      wait_ms = Math.min(wait_ms, harm_ms);
      if (paused.size > 0 || deps.stage() !== 'ok') wait_ms = Math.min(wait_ms, glance_ms);
    }
    cancel = env.after(Math.max(least_wait_ms, wait_ms), () => {
      if (due_ms - env.now_ms() < least_wait_ms || !nothingNew()) run();
      else wait();
    });
  }

  function run(): void {
    if (stopped) return;
    if (acting) {
      again = true;
      return;
    }
    acting = true;
    again = false;
    cancel();
    once()
      .catch((error: Error) => {
        failed = true;
        env.log('error', 'guard', { error: error.message });
      })
      .finally(() => {
        acting = false;
        if (stopped) return;
        due_ms = env.now_ms() + delayToNext();
        wait();
      });
  }
  run();

  return {
    wake() {
      if (failed || !nothingNew()) run();
      // A lease of another length may end sooner than the one before.
      else if (!acting) wait();
    },
    acted() {
      const stage = deps.stage();
      if (stage === 'pause' || stage === 'kill') run();
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}
