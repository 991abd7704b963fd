/**
 * The hypervisor of a simulated host: guests under the keeper with a monitor each, spoken to as the kvm driver does
 * (spawned with stopped CPUs, then `cont`; paused by `stop`; a guest that stands still answers nothing, and does what
 * it was told once it goes on). Named `fake`, so that the configuration's defaults for it apply.
 */
import { createTurns } from '../../../src/drivers/process/turns.ts';
import {
  DriverError,
  type GuestInfo,
  type GuestSpec,
  type HypervisorDriver,
  type ProcessKeeper,
} from '../../../src/drivers/types.ts';
import type { Knobs } from '../../kit/knobs.ts';
import type { World } from '../world.ts';
import type { Kernel, SimGuest } from './kernel.ts';
import type { SimProcess } from './sim-process.ts';

const prefix = 'guest/';
const command_timeout_ms = 5_000;
const kill_timeout_ms = 10_000;
const power_poll_ms = 250;

export interface HypervisorDeps {
  readonly world: World;
  readonly kernel: Kernel;
  readonly knobs: Knobs;
  readonly proc: SimProcess;
  /** Asks once more in the moment of a start. */
  readonly keeper: ProcessKeeper;
}

export function createSimHypervisor(deps: HypervisorDeps): HypervisorDriver {
  const { world, kernel, knobs, proc, keeper } = deps;
  const turns = createTurns();

  const kept = async (name: string) =>
    (await keeper.list()).find((candidate) => candidate.name === `${prefix}${name}`);
  const there = (name: string): SimGuest => {
    const guest = kernel.guests.get(`${prefix}${name}`);
    if (guest === undefined) throw new DriverError('not-found', `instance ${name} does not run on this host`);
    return guest;
  };

  /** One command to a monitor: it acts when it arrives, and answers a little later, or not in time. */
  function monitor(guest: SimGuest, timeout_ms: number, act: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = proc.after(timeout_ms, () =>
        reject(new DriverError('timeout', `the monitor of ${guest.guest.name} does not answer`)),
      );
      proc.after(knobs.range(0.2, 5), () =>
        kernel.command(guest, () => {
          act();
          proc.after(knobs.range(0.2, 5), () => {
            cancel();
            if (guest.gone) reject(new DriverError('failed', `${guest.guest.name} ended meanwhile`));
            else resolve();
          });
        }),
      );
    });
  }

  async function confirm(guest: GuestSpec, paused: boolean): Promise<void> {
    await proc.sleep(knobs.range(20, 300));
    if (paused) return;
    const found = there(guest.name);
    await monitor(found, command_timeout_ms, () => {
      if (found.monitor === 'prelaunch') found.monitor = 'running';
    });
    world.marks.hit('guest started');
  }

  async function start(guest: GuestSpec, paused: boolean): Promise<void> {
    const tag = `${guest.uuid}:${guest.epoch}`;
    const running = await kept(guest.name);
    if (running !== undefined) {
      if (running.tag === tag) return confirm(guest, paused);
      throw new DriverError('exists', `${guest.name} runs already as ${running.tag}, not as ${tag}`);
    }
    await proc.sleep(knobs.range(5, 100));
    if (knobs.chance(world.habits.start_fails)) throw new DriverError('failed', `cannot start ${guest.name}`);
    try {
      await keeper.spawn({
        name: `${prefix}${guest.name}`,
        tag,
        argv: [JSON.stringify(guest)],
        env: {},
        cwd: '/',
        log_file: '/dev/null',
        protected: guest.protected,
      });
      await confirm(guest, paused);
    } catch (error) {
      await keeper.kill(`${prefix}${guest.name}`, kill_timeout_ms);
      throw error;
    }
  }

  /** A guest that hears the power button ends by itself some time later. */
  async function powerDown(name: string, timeout_ms: number): Promise<void> {
    const guest = kernel.guests.get(`${prefix}${name}`);
    if (guest === undefined || guest.frozen || guest.monitor !== 'running') return;
    if (!knobs.chance(world.habits.deaf_guests))
      world.time.after(knobs.range(200, 8_000), () => {
        if (guest.running) kernel.end(guest, null);
      });
    for (let waited_ms = 0; waited_ms < timeout_ms; waited_ms += power_poll_ms) {
      if (kernel.guests.get(`${prefix}${name}`) !== guest) return;
      await proc.sleep(power_poll_ms);
    }
  }

  const stateOf = (guest: SimGuest | undefined, frozen: boolean): GuestInfo['state'] => {
    if (frozen || guest?.monitor === 'stopped') return 'paused';
    return guest?.monitor === 'prelaunch' ? 'starting' : 'running';
  };

  return {
    name: 'fake',
    capabilities: () => proc.answer(1, () => ({ available: true, reason: '', details: {} })),
    validate: () => undefined,
    start: (guest, { paused }) => turns.take(guest.name, () => start(guest, paused)),
    async stop(name, timeout_ms) {
      const before = await kept(name);
      if (before !== undefined && timeout_ms > 0) await powerDown(name, timeout_ms);
      const now = await kept(name);
      if (now !== undefined && (timeout_ms === 0 || now.pid === before?.pid))
        await keeper.kill(now.name, kill_timeout_ms);
      await turns.take(name, async () => {
        const after = await kept(name);
        if (after !== undefined && timeout_ms === 0) await keeper.kill(after.name, kill_timeout_ms);
      });
    },
    reset: (name) => turns.take(name, () => monitor(there(name), command_timeout_ms, () => undefined)),
    pause: (name, timeout_ms) =>
      turns.take(name, async () => {
        const guest = there(name);
        const mute = knobs.chance(world.habits.mute_monitors);
        if (mute) await proc.sleep(timeout_ms);
        await monitor(guest, mute ? 0 : timeout_ms, () => {
          if (guest.monitor === 'running') guest.monitor = 'stopped';
        });
        world.marks.hit('guest paused');
        world.watcher.harmed(kernel.host, name, 'paused');
      }),
    resume: (name) =>
      turns.take(name, async () => {
        const guest = there(name);
        await monitor(guest, command_timeout_ms, () => {
          guest.monitor = 'running';
        });
        world.marks.hit('guest resumed');
      }),
    async list() {
      const found = await keeper.list();
      return found
        .filter((row) => row.name.startsWith(prefix))
        .map((row) => {
          const at = row.tag.lastIndexOf(':');
          const guest = kernel.guests.get(row.name);
          return {
            name: row.name.slice(prefix.length),
            uuid: row.tag.slice(0, at),
            epoch: Number(row.tag.slice(at + 1)),
            state: stateOf(guest, row.frozen),
            memory_mib: guest?.guest.memory_mib ?? 0,
            vcpus: guest?.guest.vcpus ?? 0,
            pid: row.pid,
          };
        });
    },
    console: () => ({ kind: 'none', path: '', message: 'a simulated guest has no console' }),
    cleanup: (name) =>
      turns.take(name, async () => {
        if ((await kept(name)) !== undefined) throw new DriverError('exists', `instance ${name} still runs`);
      }),
  };
}
