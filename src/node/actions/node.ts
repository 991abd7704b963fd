/**
 * Verbs that look at the host itself.
 */
import { readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../drivers/process/run-command.ts';
import { DriverError } from '../../drivers/types.ts';
import { hypervisorOf, storageOf } from '../drivers.ts';
import { memoryMib } from '../facts.ts';
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
    if (nic.mode === 'bridged' && !(await bridgeExists(nic.link))) {
      problems.push(`bridge "${nic.link}" does not exist on this host`);
    }
  }
  const free = memoryMib().free;
  if (free < args.memory_mib) problems.push(`needs ${args.memory_mib} MiB of memory, ${free} MiB are free`);
  return { problems, free_memory_mib: free };
};

async function bridgeExists(name: string): Promise<boolean> {
  // Asked of the kernel, not of /sys: a mounted /sys may show another network namespace.
  const { code, stdout } = await runCommand(['ip', '-o', 'link', 'show', 'dev', name, 'type', 'bridge'], {
    timeout_ms: 5_000,
    // What there is not, is answered with a status.
    allow_failure: true,
  });
  return code === 0 && stdout.trim() !== '';
}

/** Files in `directory`, two levels deep as the file drivers lay them out; none when it does not exist. */
async function filesUnder(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true, recursive: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function freeMib(directory: string): Promise<number> {
  try {
    const stats = await statfs(directory);
    return Math.floor((stats.bavail * stats.bsize) / (1024 * 1024));
  } catch {
    return 0;
  }
}

export async function verifyReport(world: ActionWorld): ReturnType<Actions['node.verify']> {
  const cluster = world.state.get('cluster', 'cluster');
  const known_paths = new Set(world.state.list('disks').map((disk) => String(disk.logical_id[1] ?? '')));
  const orphan_files: string[] = [];
  // `memory` is the host's; the other keys are directories.
  const free_mib: Record<string, number> = { memory: memoryMib().free };
  for (const directory of [cluster?.file_storage_dir ?? '', cluster?.shared_file_storage_dir ?? '']) {
    if (directory === '') continue;
    free_mib[directory] = await freeMib(directory);
    orphan_files.push(...(await filesUnder(directory)).filter((file) => !known_paths.has(file)));
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
