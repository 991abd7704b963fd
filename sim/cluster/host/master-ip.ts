/**
 * The master address of a simulated host by a script that may be slow, fail or hang, with the promises of the real
 * driver: when `stop` has settled the address is off this host; a hanging script has it removed under it.
 */
import { DriverError, type MasterIpDriver } from '../../../src/drivers/types.ts';
import type { Knobs } from '../../kit/knobs.ts';
import type { World } from '../world.ts';
import type { Kernel } from './kernel.ts';
import type { SimProcess } from './sim-process.ts';

const script_timeout_ms = 10_000;
/** As the real driver: later than this the address is removed while the script runs on. */
const stop_patience_ms = 1_000;

export class SimMasterIp {
  readonly #world: World;
  readonly #kernel: Kernel;
  readonly #knobs: Knobs;

  constructor(world: World, kernel: Kernel, knobs: Knobs) {
    this.#world = world;
    this.#kernel = kernel;
    this.#knobs = knobs;
  }

  /** For one process: its scripts die with it. */
  of(proc: SimProcess): MasterIpDriver {
    const { master_ip_fails, master_ip_hangs } = this.#world.habits;
    const knobs = this.#knobs;
    const kernel = this.#kernel;
    return {
      async start(_params, signal) {
        const hangs = knobs.chance(master_ip_hangs);
        const fails = knobs.chance(master_ip_fails);
        // Before anything is waited for: it may be ended at any moment of it.
        const ended = new Promise<void>((resolve) => {
          signal?.addEventListener('abort', () => resolve());
        });
        await proc.answer(knobs.range(2, 60), () => {
          if (!fails || knobs.chance(0.5)) kernel.setAddress(true);
        });
        const rest_ms = hangs ? script_timeout_ms : knobs.range(1, 40);
        await Promise.race([proc.sleep(rest_ms), ended]);
        if (signal?.aborted) throw new DriverError('failed', 'the master IP script was ended');
        if (hangs) throw new DriverError('timeout', 'the master IP script hangs');
        if (fails) throw new DriverError('failed', 'the master IP script failed');
      },
      async stop() {
        const hangs = knobs.chance(master_ip_hangs);
        const fails = knobs.chance(master_ip_fails);
        const removed_ms = hangs ? stop_patience_ms : knobs.range(2, 60);
        await proc.answer(removed_ms, () => kernel.setAddress(false));
        if (hangs) {
          await proc.sleep(script_timeout_ms - removed_ms);
          throw new DriverError('timeout', 'the master IP script hangs; the address was removed directly');
        }
        if (fails) throw new DriverError('failed', 'the script failed; the address was removed directly');
      },
      holds: () => proc.answer(knobs.range(1, 10), () => kernel.holds_address),
    };
  }
}
