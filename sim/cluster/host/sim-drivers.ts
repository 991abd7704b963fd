/** The drivers of one agent's life on a simulated host; as make-drivers.ts, with simulated ones. */
import type { StateView } from '../../../src/config/api.ts';
import { DriverError, type OsDriver } from '../../../src/drivers/types.ts';
import type { KeeperClient } from '../../../src/node/keeper-client.ts';
import { guardedKeeper } from '../../../src/node/lease/guarded-keeper.ts';
import type { HostDrivers } from '../../../src/node/make-drivers.ts';
import type { Knobs } from '../../kit/knobs.ts';
import type { World } from '../world.ts';
import { createSimHypervisor } from './hypervisor.ts';
import type { Kernel } from './kernel.ts';
import type { SimMasterIp } from './master-ip.ts';
import type { SimProcess } from './sim-process.ts';
import { createSimStorage } from './storage.ts';

export const sim_os = 'plain';

export interface DriversDeps {
  readonly world: World;
  readonly kernel: Kernel;
  readonly knobs: Knobs;
  readonly proc: SimProcess;
  readonly keeper: KeeperClient;
  readonly own_files: Map<string, number>;
  readonly master_ip: SimMasterIp;
  /** Has the host go down, and come up again, a moment later. */
  reboot(name: string): void;
  hasPower(name: string): boolean;
}

export function createSimDrivers(deps: DriversDeps): HostDrivers {
  const { world, kernel, knobs, proc, keeper } = deps;
  let refusal: (tag: string) => string | null = () => 'this host is in no cluster';
  const hypervisor = createSimHypervisor({
    world,
    kernel,
    knobs,
    proc,
    keeper: guardedKeeper(keeper, (spec) => refusal(spec.tag)),
  });
  return {
    hypervisors: new Map([[hypervisor.name, hypervisor]]),
    storage: createSimStorage(proc, knobs, deps.own_files, world.shared_files),
    os: createSimOs(deps),
    master_ip: deps.master_ip.of(proc),
    power: {
      reboot: (name) => proc.answer(50, () => deps.reboot(name)),
      powerCycle: (_program, name) => proc.answer(50, () => deps.reboot(name)),
      async isPowered(_program, name) {
        if (knobs.chance(world.habits.oob_fails ?? 0)) {
          await proc.answer(knobs.pick([20, 10_000]), () => undefined);
          throw new DriverError('failed', 'the management board does not answer');
        }
        const powered = await proc.answer(knobs.range(10, 800), () => deps.hasPower(name));
        // What it said may be old when it arrives.
        return proc.answer(knobs.range(1, 1_500), () => powered);
      },
    },
    keeper,
    follow(_state: StateView, mayStart) {
      refusal = mayStart;
    },
  };
}

function createSimOs({ world, knobs, proc }: DriversDeps): OsDriver {
  const definition = {
    name: sim_os,
    path: '/os/plain',
    api_versions: [20],
    variants: [],
    parameters: [],
    valid: true,
    reason: '',
  };
  return {
    list: () => proc.answer(1, () => [definition]),
    async create(run, onLine, signal) {
      const steps = knobs.integer(1, 6);
      const fails = knobs.chance(world.habits.os_fails);
      for (let step = 1; step <= steps; step += 1) {
        await proc.sleep(knobs.range(200, 4_000));
        if (signal.aborted) throw new DriverError('failed', 'the create script was ended');
        onLine(`${step} of ${steps}`);
      }
      if (fails) throw new DriverError('failed', `the create script of ${run.os} failed`);
    },
  };
}
