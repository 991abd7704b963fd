/**
 * Tells a member that it was taken out of the Raft group, so that its host forgets the cluster: nobody else will, since
 * the log does not reach it any more. Bounded, because a host that is gone for good must not hold its removal up; such
 * a host is told by its operator (`skein node leave --force`).
 */
import type { Mesh } from './mesh-types.ts';
import type { Env } from './real-env.ts';

const call_timeout_ms = 1_500;
const tell_for_ms = 3_000;
/** A member that has yet to miss a dead leader does not believe its successor at once. */
const retry_ms = 200;

export interface TellRemovedDeps {
  readonly env: Pick<Env, 'now_ms' | 'after' | 'log'>;
  readonly mesh: Pick<Mesh, 'call'>;
}

/** Resolves when the member has heard it, or did not for a while. Never rejects. */
export async function tellRemoved({ env, mesh }: TellRemovedDeps, member: number): Promise<void> {
  const deadline_ms = env.now_ms() + tell_for_ms;
  for (;;) {
    try {
      await mesh.call(member, 'member.removed', {}, { timeout_ms: call_timeout_ms });
      return;
    } catch (error) {
      if (env.now_ms() >= deadline_ms) {
        env.log('warn', 'a removed member did not hear of it', { member, error: (error as Error).message });
        return;
      }
    }
    await new Promise<void>((resolve) => {
      env.after(retry_ms, resolve);
    });
  }
}
