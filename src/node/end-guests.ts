/**
 * Ends every guest of this host, whoever it belongs to: what a host does before it forgets the cluster that it was in.
 * Never believes a stop: it looks again until nothing is left.
 */
import type { HypervisorDriver } from '../drivers/types.ts';
import type { Env } from './real-env.ts';

const first_pause_ms = 250;
const last_pause_ms = 10_000;

export interface EndGuestsDeps {
  readonly env: Pick<Env, 'after' | 'log'>;
  readonly hypervisors: ReadonlyMap<string, HypervisorDriver>;
}

/** What is left after one try at all of them: names, or what kept us from knowing. */
async function endOnce({ env, hypervisors }: EndGuestsDeps): Promise<readonly string[]> {
  const left: string[] = [];
  for (const driver of hypervisors.values()) {
    try {
      for (const guest of await driver.list()) {
        env.log('warn', 'ending a guest: this host leaves the cluster', { guest: guest.name });
        await driver.stop(guest.name, 0);
        await driver.cleanup(guest.name);
      }
      left.push(...(await driver.list()).map((guest) => guest.name));
    } catch (error) {
      left.push(`${driver.name}: ${(error as Error).message}`);
    }
  }
  return left;
}

/**
 * Resolves when no guest is left. Rejects after `tries` (Infinity: never), naming what is left.
 */
export async function endGuests(deps: EndGuestsDeps, tries: number): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const left = await endOnce(deps);
    if (left.length === 0) return;
    deps.env.log('error', 'guests could not be ended', { left });
    if (attempt >= tries) throw new Error(`not ended: ${left.join('; ')}`);
    const pause_ms = Math.min(last_pause_ms, first_pause_ms * 2 ** Math.min(attempt, 8));
    await new Promise<void>((resolve) => {
      deps.env.after(pause_ms, resolve);
    });
  }
}
