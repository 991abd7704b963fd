/**
 * Any node will do: whatever only the leader can answer is passed on to it, across elections, until a deadline.
 * What is passed on more than once must be safe to do twice: reads, renewals, and commands with a condition or a
 * request id. A proposal whose outcome is unknown is not repeated here; the caller is told.
 */
import type { ReplicaApi } from '../consensus/api.ts';
import type { Mesh } from './mesh-types.ts';
import { RpcError } from './mesh-types.ts';

export interface LeaderClient {
  /**
   * @param repeat whether a lost answer may be asked for again (the method is idempotent).
   * Rejects with RpcError `no-quorum` when no leader answered before the deadline, or with the handler's own error.
   */
  call(method: string, params: unknown, options: LeaderCallOptions): Promise<unknown>;
}

export interface LeaderCallOptions {
  readonly timeout_ms: number;
  readonly repeat: boolean;
  readonly onNote?: (note: unknown) => void;
  readonly signal?: AbortSignal;
}

/** Codes that mean "not done, ask again". `remote-busy` is a busy log, before anything was proposed. */
const not_done = new Set(['not-leader', 'unreachable', 'busy', 'remote-busy']);
/** Codes that mean "perhaps done". `closed`: the leader's agent is being stopped. */
const perhaps_done = new Set(['broken', 'timeout', 'lost', 'closed']);
/** How long a leader that was deposed may still answer what must not be asked twice. */
const deposed_grace_ms = 2_000;

export interface LeaderClientDeps {
  readonly mesh: Pick<Mesh, 'call'>;
  readonly replica: Pick<ReplicaApi, 'status' | 'on'>;
  now_ms(): number;
  after(delay_ms: number, fn: () => void): () => void;
  random(): number;
}

export function createLeaderClient(deps: LeaderClientDeps): LeaderClient {
  /** Wakes at the next change of role, or after `delay_ms`. */
  function nextChance(delay_ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = () => {
        off();
        cancel();
        signal?.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = () => {
        done();
        reject(new RpcError('canceled', 'canceled by the caller'));
      };
      const off = deps.replica.on('role', done);
      const cancel = deps.after(delay_ms, done);
      signal?.addEventListener('abort', aborted);
    });
  }

  /**
   * One call to `leader`. When another member turns out to lead meanwhile, the old one may be frozen and never answer:
   * what may be repeated is asked of the new one at once, anything else gets a last chance to be answered.
   */
  async function ask(
    leader: number,
    method: string,
    params: unknown,
    options: LeaderCallOptions,
    left_ms: number,
  ): Promise<unknown> {
    const deposed = new AbortController();
    let cancel: () => void = () => undefined;
    const off = deps.replica.on('role', (status) => {
      if (status.leader === 0 || status.leader === leader) return;
      cancel();
      cancel = deps.after(options.repeat ? 0 : deposed_grace_ms, () => deposed.abort('deposed'));
    });
    try {
      return await deps.mesh.call(leader, method, params, {
        timeout_ms: left_ms,
        ...(options.onNote ? { onNote: options.onNote } : {}),
        signal: options.signal ? AbortSignal.any([options.signal, deposed.signal]) : deposed.signal,
      });
    } catch (error) {
      if (deposed.signal.aborted && !options.signal?.aborted)
        throw new RpcError('lost', `member ${leader} leads no more and has not answered`);
      throw error;
    } finally {
      off();
      cancel();
    }
  }

  return {
    async call(method, params, options) {
      const deadline_ms = deps.now_ms() + options.timeout_ms;
      let last = 'no leader is known';
      let asked = 0;
      for (let attempt = 0; ; attempt += 1) {
        if (options.signal?.aborted) throw new RpcError('canceled', 'canceled by the caller');
        const left_ms = deadline_ms - deps.now_ms();
        if (left_ms <= 0)
          throw new RpcError(
            'no-quorum',
            `no leader answered within ${Math.round(options.timeout_ms / 1000)} s (${last})`,
          );
        const { leader } = deps.replica.status();
        if (leader !== 0) {
          // A new leader has yet to take up its duties: it is asked again soon, whatever went before.
          if (leader !== asked) attempt = 0;
          asked = leader;
          try {
            return await ask(leader, method, params, options, left_ms);
          } catch (error) {
            const { code = '' } = error as { code?: string };
            if (perhaps_done.has(code) && !options.repeat) {
              throw new RpcError(
                'unknown-outcome',
                `the leader went away before it answered: ${(error as Error).message}`,
              );
            }
            if (!not_done.has(code) && !perhaps_done.has(code)) throw error;
            last = (error as Error).message;
          }
        }
        const back_off_ms = Math.min(500, 10 * 2 ** Math.min(attempt, 6)) * (0.5 + deps.random());
        await nextChance(Math.min(back_off_ms, Math.max(1, left_ms)), options.signal);
      }
    },
  };
}
