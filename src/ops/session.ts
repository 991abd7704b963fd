/**
 * One term's right to act. Everything that the engine proposes or waits for goes through here, and ends with
 * {@link EngineStopped} once the term is over: after that nothing leaves, whatever was under way.
 *
 * A proposal of unknown outcome ends the session too, because neither doing it again nor going on without it would be
 * safe; what comes after reads the outcome from the state.
 */
import type { Command } from '../config/commands.ts';
import { CommandRefused, EngineStopped } from './op-result.ts';
import type { JobProgress, OpsPorts } from './types.ts';

/** Proposals answered `busy` are repeated this often: 20 ms doubling to 2 s, about 15 s in all. */
const busy_retries = 12;
const refusal_codes: ReadonlySet<string> = new Set([
  'not-found',
  'exists',
  'stale',
  'in-use',
  'invalid',
  'denied',
  'full',
  'no-cluster',
]);

export interface Applied {
  readonly index: number;
  readonly value: unknown;
}

export interface Session {
  readonly ports: OpsPorts;
  readonly live: boolean;
  /** Aborted when the session ends. */
  readonly signal: AbortSignal;
  /** Resolves with the entry's index and apply value. Rejects with {@link CommandRefused} or {@link EngineStopped}. */
  propose(command: Command): Promise<Applied>;
  /** Awaits something foreign; afterwards the session is still live, or {@link EngineStopped} is thrown. */
  wait<T>(promise: Promise<T>): Promise<T>;
  /** Sleeps; `signal` or the session's end cut it short (the former resolves with false). */
  pause(delay_ms: number, signal?: AbortSignal): Promise<boolean>;
  /** Bars leases until the returned function is called *and* no proposal of unknown outcome may still commit. */
  barLease(node_uuid: string): () => void;
  progress(progress: JobProgress): void;
  /** Ends the session. `outcome_unknown`: bars stay until `releaseBars`. */
  halt(outcome_unknown: boolean, reason: string): void;
  releaseBars(): void;
}

export interface SessionEvents {
  readonly onHalt: (outcome_unknown: boolean, reason: string) => void;
  readonly onProgress: (progress: JobProgress) => void;
}

export function createSession(ports: OpsPorts, events: SessionEvents): Session {
  let live = true;
  let keep_bars = false;
  const abort = new AbortController();
  const bars = new Set<() => void>();

  const check = (): void => {
    if (!live) throw new EngineStopped();
  };

  /** null: the log was busy. */
  async function proposeOnce(command: Command): Promise<Applied | null> {
    try {
      const { index, value } = await ports.propose(command);
      check();
      const refusal = refusalIn(value);
      if (refusal) throw refusal;
      return { index, value: unwrap(value) };
    } catch (error) {
      check();
      if (error instanceof CommandRefused) throw error;
      const { code, outcome } = describe(error);
      if (isRefusal(error)) throw new CommandRefused(code, messageOf(error));
      if (code === 'busy' && outcome !== 'unknown') return null;
      // Anything else says nothing certain about the log, unless it says that it was not proposed.
      session.halt(outcome !== 'not-proposed', `${command.type}: ${messageOf(error)}`);
      throw new EngineStopped();
    }
  }

  const session: Session = {
    ports,
    get live() {
      return live;
    },
    signal: abort.signal,
    async propose(command) {
      for (let attempt = 0; ; attempt++) {
        check();
        const applied = await proposeOnce(command);
        if (applied) return applied;
        if (attempt >= busy_retries) {
          session.halt(false, `${command.type}: the log was busy for too long`);
          throw new EngineStopped();
        }
        await session.pause(Math.min(2_000, 20 * 2 ** attempt));
      }
    },
    async wait(promise) {
      try {
        return await promise;
      } finally {
        check();
      }
    },
    async pause(delay_ms, signal) {
      check();
      const whole = await new Promise<boolean>((resolve) => {
        const finish = (value: boolean) => () => {
          cancel();
          abort.signal.removeEventListener('abort', interrupted);
          signal?.removeEventListener('abort', interrupted);
          resolve(value);
        };
        const interrupted = finish(false);
        const cancel = ports.after(delay_ms, finish(true));
        abort.signal.addEventListener('abort', interrupted);
        signal?.addEventListener('abort', interrupted);
        if (signal?.aborted) interrupted();
      });
      check();
      return whole;
    },
    barLease(node_uuid) {
      check();
      const release = ports.barLease(node_uuid);
      bars.add(release);
      return () => {
        if (keep_bars || !bars.delete(release)) return;
        release();
      };
    },
    progress(progress) {
      if (live) events.onProgress(progress);
    },
    halt(outcome_unknown, reason) {
      if (!live) return;
      live = false;
      keep_bars = outcome_unknown;
      abort.abort();
      events.onHalt(outcome_unknown, reason);
    },
    releaseBars() {
      keep_bars = false;
      for (const release of bars) release();
      bars.clear();
    },
  };
  return session;
}

/** Proposals may answer with the apply result itself or with its value. */
function refusalIn(value: unknown): CommandRefused | null {
  if (typeof value !== 'object' || value === null || !('ok' in value) || value.ok !== false) return null;
  const { code, message } = 'error' in value ? describe(value.error) : describe(null);
  return new CommandRefused(code, message);
}

function unwrap(value: unknown): unknown {
  if (typeof value === 'object' && value !== null && 'ok' in value && value.ok === true && 'value' in value) {
    return value.value;
  }
  return value;
}

function describe(error: unknown): { code: string; outcome: string; message: string } {
  const text = (key: string): string => {
    if (typeof error !== 'object' || error === null || !(key in error)) return '';
    return String((error as Record<string, unknown>)[key]);
  };
  return { code: text('code'), outcome: text('outcome'), message: text('message') };
}

/** Whether a rejected proposal was applied and refused, so that its outcome is known. */
export function isRefusal(error: unknown): boolean {
  const { code, outcome } = describe(error);
  return outcome === '' && refusal_codes.has(code);
}

/** An error of the consensus layer: what it says of the proposal's fate. */
export function consensusOutcome(error: unknown): 'not-proposed' | 'unknown' | null {
  const { outcome } = describe(error);
  return outcome === 'not-proposed' || outcome === 'unknown' ? outcome : null;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
