/**
 * What this host is and has: read when a lease is renewed, so it must be cheap.
 */
import type { HypervisorDriver, OsDriver } from '../drivers/types.ts';
import type { LiveNode } from '../ops/types.ts';
import type { Measures } from './host.ts';

/** How long the list of OS definitions may be old. */
const os_max_age_ms = 30_000;

export interface Facts {
  collect(storage_dir: string): Promise<Omit<LiveNode, 'age_ms' | 'boot'>>;
}

export function createFacts(
  now_ms: () => number,
  measures: Measures,
  hypervisors: ReadonlyMap<string, HypervisorDriver>,
  os: OsDriver,
): Facts {
  let names: readonly string[] = [];
  let names_at_ms = Number.NEGATIVE_INFINITY;
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
      const memory = measures.memory();
      const disk = await measures.disk(storage_dir);
      return {
        total_memory_mib: memory.total,
        free_memory_mib: memory.free,
        cpus: measures.cpus,
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
