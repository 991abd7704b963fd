/**
 * What this host is and has: read when a lease is renewed, so it must be cheap.
 */
import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { cpus } from 'node:os';
import type { HypervisorDriver, OsDriver } from '../drivers/types.ts';
import type { LiveNode } from '../ops/types.ts';

export interface Memory {
  readonly total: number;
  /** What could be given to guests: free plus reclaimable. */
  readonly free: number;
}

export function memoryMib(): Memory {
  const text = readFileSync('/proc/meminfo', 'latin1');
  const field = (name: string) =>
    Math.floor(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) / 1024);
  return { total: field('MemTotal'), free: field('MemAvailable') };
}

async function diskMib(directory: string): Promise<Memory> {
  try {
    const stats = await statfs(directory);
    const mib = (blocks: number) => Math.floor((blocks * stats.bsize) / (1024 * 1024));
    return { total: mib(stats.blocks), free: mib(stats.bavail) };
  } catch {
    // The storage directory may not be made yet: nothing is free there.
    return { total: 0, free: 0 };
  }
}

/** How long the list of OS definitions may be old. */
const os_max_age_ms = 30_000;

export interface Facts {
  collect(storage_dir: string): Promise<Omit<LiveNode, 'age_ms' | 'boot'>>;
}

export function createFacts(
  now_ms: () => number,
  hypervisors: ReadonlyMap<string, HypervisorDriver>,
  os: OsDriver,
): Facts {
  let names: readonly string[] = [];
  let names_at_ms = Number.NEGATIVE_INFINITY;
  const cpu_count = cpus().length;
  return {
    async collect(storage_dir) {
      if (now_ms() - names_at_ms > os_max_age_ms) {
        names_at_ms = now_ms();
        const definitions = await os.list();
        names = definitions
          .filter((definition) => definition.valid)
          .flatMap((definition) =>
            definition.variants.length > 0
              ? definition.variants.map((variant) => `${definition.name}+${variant}`)
              : [definition.name],
          );
      }
      const guests = [];
      for (const driver of hypervisors.values()) guests.push(...(await driver.list()));
      const memory = memoryMib();
      const disk = await diskMib(storage_dir);
      return {
        total_memory_mib: memory.total,
        free_memory_mib: memory.free,
        cpus: cpu_count,
        total_disk_mib: disk.total,
        free_disk_mib: disk.free,
        os: names,
        guests: guests.map((guest) => ({
          name: guest.name,
          uuid: guest.uuid,
          epoch: guest.epoch,
          state: guest.state,
          memory_mib: guest.memory_mib,
          vcpus: guest.vcpus,
        })),
      };
    },
  };
}
