/** The real host: directories under the agent's data directory, libp2p, and what the kernel says. */
import { readFileSync } from 'node:fs';
import { mkdir, readdir, statfs } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../drivers/process/run-command.ts';
import type { AgentOptions } from './agent-options.ts';
import { readJson, removeDurable, writeDurableJson } from './durable-file.ts';
import type { Host, Measures, Records, Space } from './host.ts';
import type { Identity } from './identity.ts';
import { openImage } from './image.ts';
import { createMesh } from './mesh/libp2p-mesh.ts';
import { meshGeneration } from './mesh-generation.ts';
import { createPlacementWorker } from './placement-worker.ts';
import { openRealDisk } from './real-disk.ts';
import type { Env } from './real-env.ts';

const stores = ['log', 'state', 'journal'] as const;

export function createRealHost(options: AgentOptions, identity: Identity, env: Env): Host {
  const at = (name: (typeof stores)[number]) => join(options.data_dir, name);
  return {
    peer_id: identity.peer_id,
    measures: createRealMeasures((message, fields) => env.log('warn', message, fields)),
    membership: recordsIn(options.data_dir),
    openLogDisk: () => openRealDisk(at('log')),
    openImage: () => openImage(at('state')),
    async openJournalRecords() {
      await mkdir(at('journal'), { recursive: true, mode: 0o700 });
      return recordsIn(at('journal'));
    },
    async wipe() {
      for (const name of stores) await removeDurable(at(name));
    },
    wipeLog: () => removeDurable(at('log')),
    openPlacement: () => createPlacementWorker({ env }),
    openMesh: (self_member, cluster) =>
      createMesh({
        private_key: identity.private_key,
        self_member,
        listen: self_member === 0 ? [] : options.listen,
        env,
        generation: meshGeneration(env),
        ...(cluster && { cluster }),
      }),
  };
}

/** JSON files in a directory that exists. */
export function recordsIn(directory: string): Records {
  const pathOf = (name: string) => join(directory, name);
  return {
    list: () => readdir(directory),
    read: (name) => readJson(pathOf(name)),
    write: (name, value) => writeDurableJson(pathOf(name), value),
    remove: (name) => removeDurable(pathOf(name)),
    pathOf,
  };
}

/** @param warn is told of a directory that cannot be looked at, once for each reason. */
export function createRealMeasures(
  warn: (message: string, fields: Record<string, unknown>) => void,
): Measures {
  const told = new Map<string, string>();
  return {
    cpus: cpus().length,
    memory() {
      const text = readFileSync('/proc/meminfo', 'latin1');
      const field = (name: string) =>
        Math.floor(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) / 1024);
      // Free plus reclaimable.
      return { total: field('MemTotal'), free: field('MemAvailable') };
    },
    async disk(directory) {
      try {
        const stats = await statfs(directory);
        const mib = (blocks: number) => Math.floor((blocks * stats.bsize) / (1024 * 1024));
        told.delete(directory);
        return { total: mib(stats.blocks), free: mib(stats.bavail) } satisfies Space;
      } catch (error) {
        // Not made yet, or not to be reached: nothing can be put there. A lease is renewed all the same: a host must not
        // lose its guests because a mount of it is stale.
        const { code = '', message } = error as NodeJS.ErrnoException;
        if (code !== 'ENOENT' && told.get(directory) !== code)
          warn('a storage directory cannot be looked at', { directory, error: message });
        told.set(directory, code);
        return { total: 0, free: 0 };
      }
    },
    async filesUnder(directory) {
      try {
        const entries = await readdir(directory, { withFileTypes: true, recursive: true });
        return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
        throw error;
      }
    },
    async bridgeExists(name) {
      // Asked of the kernel, not of /sys: a mounted /sys may show another network namespace.
      const { code, stdout } = await runCommand(['ip', '-o', 'link', 'show', 'dev', name, 'type', 'bridge'], {
        timeout_ms: 5_000,
        // What there is not, is answered with a status.
        allow_failure: true,
      });
      return code === 0 && stdout.trim() !== '';
    },
  };
}
