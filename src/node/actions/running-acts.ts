/**
 * The acts that run on this node now, by step key: several callers may wait for one, each sees its progress, and an
 * act can be told to end. It never ends an act because a caller went away.
 */
import type { Progress, StepKey, VerbName } from '../../ops/types.ts';
import type { Outcome } from '../journal.ts';
import type { ActionContext } from './types.ts';

interface RunningAct {
  readonly key: StepKey;
  readonly verb: VerbName;
  readonly abort: AbortController;
  readonly listeners: Set<(progress: Progress) => void>;
  readonly ended: Promise<Outcome>;
}

export interface RunningActs {
  has(key: StepKey): boolean;
  /** Waits for the act with this key, which `start` begins unless it runs already. */
  join(
    key: StepKey,
    verb: VerbName,
    onProgress: (progress: Progress) => void,
    start: (ctx: ActionContext) => Promise<Outcome>,
  ): Promise<Outcome>;
  /** Tells those to end for which `why` has a reason; does not wait. */
  abort(why: (key: StepKey, verb: VerbName) => string | null): void;
  /** Tells the chosen ones to end and waits for that. Resolves with how many still run after `timeout_ms`. */
  end(chosen: (key: StepKey) => boolean, why: string, timeout_ms: number): Promise<number>;
}

const nameOf = (key: StepKey) => `${key.job}.${key.op}.${key.step}.${key.undo}`;

export function createRunningActs(after: (delay_ms: number, fn: () => void) => () => void): RunningActs {
  const running = new Map<string, RunningAct>();

  function begin(key: StepKey, verb: VerbName, start: (ctx: ActionContext) => Promise<Outcome>): RunningAct {
    const abort = new AbortController();
    const listeners = new Set<(progress: Progress) => void>();
    const progress = (note: Progress) => {
      for (const listener of listeners) listener(note);
    };
    const ended = start({ signal: abort.signal, progress }).finally(() => running.delete(nameOf(key)));
    const act: RunningAct = { key, verb, abort, listeners, ended };
    running.set(nameOf(key), act);
    return act;
  }

  return {
    has: (key) => running.has(nameOf(key)),
    async join(key, verb, onProgress, start) {
      const act = running.get(nameOf(key)) ?? begin(key, verb, start);
      act.listeners.add(onProgress);
      try {
        return await act.ended;
      } finally {
        act.listeners.delete(onProgress);
      }
    },
    abort(why) {
      for (const { key, verb, abort } of running.values()) {
        const reason = abort.signal.aborted ? null : why(key, verb);
        if (reason !== null) abort.abort(reason);
      }
    },
    async end(chosen, why, timeout_ms) {
      const ending = [...running.values()].filter((act) => chosen(act.key));
      if (ending.length === 0) return 0;
      for (const { abort } of ending) if (!abort.signal.aborted) abort.abort(why);
      let cancel: () => void = () => undefined;
      const timeout = new Promise<void>((resolve) => {
        cancel = after(timeout_ms, resolve);
      });
      await Promise.race([timeout, Promise.allSettled(ending.map((act) => act.ended))]);
      cancel();
      return ending.filter((act) => running.get(nameOf(act.key)) === act).length;
    },
  };
}
