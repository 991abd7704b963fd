/**
 * A keeper that asks once more in the moment of a start. Drivers wait for many things between the decision to start a
 * guest and the spawn; an agent that was frozen meanwhile has a fresh lease and an old decision. Guarantees: the answer
 * and the spawn's leaving are one moment, and the keeper judges it by the leases told before it.
 */
import { DriverError, type ProcessKeeper, type ProcessSpec } from '../../drivers/types.ts';

/** @param refusal why this process may not start now (lease, applied index, or an epoch in its tag that is not ours any more); null when it may. */
export function guardedKeeper(
  keeper: ProcessKeeper,
  refusal: (spec: ProcessSpec) => string | null,
): ProcessKeeper {
  return {
    spawn: (spec) => {
      const reason = refusal(spec);
      if (reason === null) return keeper.spawn(spec);
      return Promise.reject(new DriverError('failed', `${spec.name} is not started: ${reason}`));
    },
    kill: (name, timeout_ms) => keeper.kill(name, timeout_ms),
    list: () => keeper.list(),
    onExit: (handler) => keeper.onExit(handler),
  };
}
