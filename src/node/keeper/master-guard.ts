/**
 * The master address, from the keeper's side. Guarantees: the address that this host may hold is on disk before the
 * agent may start it; it is let go when the deadline passes or the agent is gone, and after the keeper's own death by
 * the next keeper. It never starts the address, and it does not stop trying until the address is gone.
 */
import type { MasterIpDriver, MasterIpParams } from '../../drivers/types.ts';
import { within } from '../within.ts';
import { max_ahead_ms } from './fence-action.ts';

export interface MasterGuardOptions {
  readonly now_ms: () => number;
  /** Calls `fn` once, in `delay_ms`; returns what cancels it. */
  readonly after: (delay_ms: number, fn: () => void) => () => void;
  /** Loaded only when needed. */
  readonly driver: () => Promise<Pick<MasterIpDriver, 'stop' | 'holds'>>;
  /** Durable when it returns. */
  readonly persist: (params: MasterIpParams | null) => void;
  readonly onDropped: (params: MasterIpParams, error: string) => void;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
}

const stop_timeout_ms = 30_000;
const first_retry_ms = 500;
const last_retry_ms = 10_000;

export class MasterGuard {
  readonly #options: MasterGuardOptions;
  #params: MasterIpParams | null;
  /** What is on disk: what may have to be let go of by the next keeper. */
  #noted: MasterIpParams | null;
  /** Why the last announcement could not be noted down; '' if it was. */
  #refusal = '';
  #deadline_ms = 0;
  #releasing: Promise<void> | null = null;
  #closed = false;

  /** @param held what the last keeper noted down. */
  constructor(options: MasterGuardOptions, held: MasterIpParams | null) {
    this.#options = options;
    this.#params = held;
    this.#noted = held;
  }

  /** The agent leads until `deadline_ms`, or (0 or no parameters) has let go of the address itself. */
  set(deadline_ms: number, params: MasterIpParams | null): void {
    this.#refusal = '';
    if (params === null || deadline_ms === 0) {
      this.#deadline_ms = 0;
      // A release under way finishes and notes it itself: until then nobody knows that the address is gone.
      if (this.#releasing === null) this.#forget();
      return;
    }
    if (deadline_ms > this.#options.now_ms() + max_ahead_ms) {
      this.#options.log('master deadline too far ahead, ignored', { deadline_ms });
      return;
    }
    if (!this.#note(params)) return;
    this.#deadline_ms = deadline_ms;
    this.check();
  }

  /** Lets go when the deadline has passed. */
  check(): void {
    if (this.#params !== null && this.#releasing === null && this.#options.now_ms() >= this.#deadline_ms)
      this.#release();
  }

  /** When to check again; null: nothing is held. */
  nextMs(): number | null {
    return this.#params === null || this.#releasing !== null ? null : this.#deadline_ms;
  }

  /** The agent died, or the keeper ends. */
  drop(): void {
    this.#deadline_ms = 0;
    this.check();
  }

  /** Resolves when no release is under way. */
  async idle(): Promise<void> {
    while (this.#releasing !== null) await this.#releasing;
  }

  /** Like {@link idle}; rejects when the last announcement was not noted down: then the address must not be started. */
  async settled(): Promise<void> {
    await this.idle();
    if (this.#refusal !== '') throw new Error(this.#refusal);
  }

  /** Ends the retries: the next keeper goes on with them. */
  close(): void {
    this.#closed = true;
  }

  /** Whether the address is on disk; a disk that takes nothing must not end the keeper, and the guests with it. */
  #note(params: MasterIpParams): boolean {
    try {
      this.#persist(params);
    } catch (error) {
      this.#refusal = `the master IP could not be noted down, so it is not taken: ${(error as Error).message}`;
      this.#options.log(this.#refusal, { ip: params.ip });
      return false;
    }
    this.#params = params;
    return true;
  }

  /** An old note does no harm: the next keeper lets go of the address once more. */
  #forget(): void {
    this.#params = null;
    try {
      this.#persist(null);
    } catch (error) {
      this.#options.log('the note of the master IP stays', { error: (error as Error).message });
    }
  }

  #persist(params: MasterIpParams | null): void {
    if (JSON.stringify(params) === JSON.stringify(this.#noted)) return;
    this.#options.persist(params);
    this.#noted = params;
  }

  #release(): void {
    const params = this.#params;
    if (params === null) return;
    this.#releasing = this.#stopUntilGone(params).finally(() => {
      this.#releasing = null;
      if (!this.#closed) this.check();
    });
  }

  async #stopUntilGone(params: MasterIpParams): Promise<void> {
    for (let retry_ms = first_retry_ms; !this.#closed; retry_ms = Math.min(retry_ms * 2, last_retry_ms)) {
      const { gone, error } = await this.#stopOnce(params);
      if (error !== '') this.#options.log('master IP stop', { ip: params.ip, gone, error });
      if (gone) {
        // An announcement that came meanwhile keeps its note: its start comes after this.
        if (this.#params === params && this.#deadline_ms <= this.#options.now_ms()) this.#forget();
        this.#options.onDropped(params, error);
        return;
      }
      await new Promise<void>((resolve) => this.#options.after(retry_ms, resolve));
    }
  }

  async #stopOnce(params: MasterIpParams): Promise<{ readonly gone: boolean; readonly error: string }> {
    let driver: Pick<MasterIpDriver, 'stop' | 'holds'>;
    try {
      driver = await this.#options.driver();
    } catch (error) {
      return { gone: false, error: (error as Error).message };
    }
    try {
      await this.#within(driver.stop(params), stop_timeout_ms, 'stopping the master IP');
      return { gone: true, error: '' };
    } catch (error) {
      const text = (error as Error).message;
      try {
        return {
          gone: !(await this.#within(driver.holds(params), stop_timeout_ms, 'looking for the master IP')),
          error: text,
        };
      } catch (second) {
        return { gone: false, error: `${text}; ${(second as Error).message}` };
      }
    }
  }

  #within<T>(act: Promise<T>, timeout_ms: number, what: string): Promise<T> {
    return within(this.#options.after, act, timeout_ms, what);
  }
}
