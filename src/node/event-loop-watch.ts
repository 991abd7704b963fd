/**
 * Notices an event loop that cannot keep up (docs/ha.md, "Leader"): a timer that comes more than a second late three
 * times running. One long pause (a frozen process, a suspended host) is no such thing: the lease and the election
 * timeout deal with that.
 */

export interface EventLoopWatchDeps {
  now_ms(): number;
  after(delay_ms: number, fn: () => void): () => void;
  /** Called at the third late timer running, and at every one after it. */
  stalled(lag_ms: number): void;
}

/** Between two looks. */
export const watch_every_ms = 500;
/** Later than this is a lag. */
export const most_lag_ms = 1_000;
export const lags_running = 3;

/** Returns what ends it. */
export function watchEventLoop(deps: EventLoopWatchDeps): () => void {
  let lags = 0;
  let cancel: () => void = () => undefined;
  const arm = () => {
    const due_ms = deps.now_ms() + watch_every_ms;
    cancel = deps.after(watch_every_ms, () => {
      const lag_ms = deps.now_ms() - due_ms;
      lags = lag_ms > most_lag_ms ? lags + 1 : 0;
      arm();
      if (lags >= lags_running) deps.stalled(lag_ms);
    });
  };
  arm();
  return () => cancel();
}
