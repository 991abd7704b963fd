/**
 * Verbs that look at the host itself.
 */
import { DriverError } from '../../drivers/types.ts';
import { hypervisorOf, storageOf } from '../drivers.ts';
import { diskSpecs } from '../guest-spec.ts';
import type { Actions, ActionWorld } from './types.ts';

/** Everything that would make a creation fail later, found before anything is changed. */
export const checkNode: Actions['node.check'] = async (world, args) => {
  const problems: string[] = [];
  const attempt = async (act: () => void | Promise<void>) => {
    try {
      await act();
    } catch (error) {
      const hint = error instanceof DriverError && error.hint ? ` (${error.hint})` : '';
      problems.push(`${(error as Error).message}${hint}`);
    }
  };
  await attempt(async () => {
    const driver = hypervisorOf(world.drivers, args.hypervisor);
    driver.validate(args.hvparams);
    const able = await driver.capabilities();
    if (!able.available) problems.push(`hypervisor ${args.hypervisor}: ${able.reason}`);
  });
  await attempt(async () => {
    const able = await storageOf(world.drivers, args.disk_template).capabilities();
    if (!able.available) problems.push(`disk template ${args.disk_template}: ${able.reason}`);
  });
  if (args.os !== '') {
    const name = args.os.split('+')[0]!;
    const variant = args.os.split('+')[1] ?? '';
    const definitions = await world.drivers.os.list();
    const definition = definitions.find((candidate) => candidate.name === name);
    if (!definition) {
      problems.push(
        `OS "${name}" is not known here; known: ${definitions.map((os) => os.name).join(', ') || 'none'}`,
      );
    } else if (!definition.valid) {
      problems.push(`OS "${name}" is not usable: ${definition.reason}`);
    } else if (variant !== '' && !definition.variants.includes(variant)) {
      problems.push(
        `OS "${name}" has no variant "${variant}"; it has: ${definition.variants.join(', ') || 'none'}`,
      );
    }
  }
  for (const nic of args.nics) {
    if (nic.mode === 'bridged' && !(await world.measures.bridgeExists(nic.link))) {
      problems.push(`bridge "${nic.link}" does not exist on this host`);
    }
  }
  const free = world.measures.memory().free;
  if (free < args.memory_mib) problems.push(`needs ${args.memory_mib} MiB of memory, ${free} MiB are free`);
  return { problems, free_memory_mib: free };
};

export async function verifyReport(world: ActionWorld): ReturnType<Actions['node.verify']> {
  const cluster = world.state.get('cluster', 'cluster');
  const known_paths = new Set(world.state.list('disks').map((disk) => String(disk.logical_id[1] ?? '')));
  const orphan_files: string[] = [];
  // `memory` is the host's; the other keys are directories.
  const free_mib: Record<string, number> = { memory: world.measures.memory().free };
  for (const directory of [cluster?.file_storage_dir ?? '', cluster?.shared_file_storage_dir ?? '']) {
    if (directory === '') continue;
    free_mib[directory] = (await world.measures.disk(directory)).free;
    orphan_files.push(
      ...(await world.measures.filesUnder(directory)).filter((file) => !known_paths.has(file)),
    );
  }
  const missing_disks: string[] = [];
  for (const instance of world.state.list('instances')) {
    if (instance.owner.node !== world.node_uuid) continue;
    for (const spec of diskSpecs(world.state, instance)) {
      const info = await storageOf(world.drivers, instance.disk_template).info(spec);
      if (!info.exists) missing_disks.push(`${instance.name} disk/${spec.index}: ${info.path}`);
    }
  }
  const guests = [];
  const hypervisors: Record<string, { available: boolean; reason: string }> = {};
  for (const [name, driver] of world.drivers.hypervisors) {
    const able = await driver.capabilities();
    hypervisors[name] = { available: able.available, reason: able.reason };
    for (const guest of await driver.list()) {
      guests.push({ name: guest.name, uuid: guest.uuid, epoch: guest.epoch, state: guest.state });
    }
  }
  return {
    guests,
    orphan_files,
    missing_disks,
    applied_index: world.state.index,
    state_hash_at: world.hash(),
    version: world.version,
    wall_time: world.env.wall_s(),
    hypervisors,
    free_mib,
  };
}

export const verifyNode: Actions['node.verify'] = (world) => verifyReport(world);

export const delay: Actions['test.delay'] = (world, args, ctx) =>
  new Promise((resolve, reject) => {
    const cancel = world.env.after(args.duration_ms, () => resolve(null));
    ctx.signal.addEventListener('abort', () => {
      cancel();
      reject(new Error('canceled'));
    });
  });
