/**
 * What instances were measured to use: lines `instance cpu memory disk net` (hbal's `-U`). Instances that are not named
 * keep what they have, names that no instance has are passed over.
 */
import type { PlacementCluster, Utilisation } from './cluster.ts';
import { InputError, quoted } from './input-error.ts';

/** Throws {@link InputError}. */
export function parseUtilisation(text: string): ReadonlyMap<string, Utilisation> {
  const found = new Map<string, Utilisation>();
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  for (const [at, line] of lines.entries()) {
    const where = `line ${at + 1}`;
    const [name, cpu, memory, disk, net, ...more] = line.split(' ');
    if (name === undefined || cpu === undefined || memory === undefined || disk === undefined) {
      throw unreadable(where, line);
    }
    if (net === undefined || more.length > 0) throw unreadable(where, line);
    found.set(name, {
      cpu: amount(where, name, cpu),
      memory: amount(where, name, memory),
      disk: amount(where, name, disk),
      net: amount(where, name, net),
    });
  }
  return found;
}

function unreadable(where: string, line: string): InputError {
  return new InputError(
    where,
    `Cannot parse line ${line}`,
    'instance, cpu, memory, disk and net, separated by single blanks',
  );
}

function amount(where: string, name: string, text: string): number {
  if (/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(text)) return Number(text);
  throw new InputError(where, `${name}: cannot parse string ${quoted(text)}`, 'a number');
}

/** The cluster with these. */
export function withUtilisation(
  cluster: PlacementCluster,
  measured: ReadonlyMap<string, Utilisation>,
): PlacementCluster {
  if (measured.size === 0) return cluster;
  return {
    ...cluster,
    instances: cluster.instances.map((instance) => ({
      ...instance,
      utilisation: measured.get(instance.name) ?? instance.utilisation,
    })),
  };
}

/** The cluster as if nothing was known of what instances use: all 0. */
export function withoutUtilisation(cluster: PlacementCluster): PlacementCluster {
  const utilisation: Utilisation = { cpu: 0, memory: 0, disk: 0, net: 0 };
  return { ...cluster, instances: cluster.instances.map((instance) => ({ ...instance, utilisation })) };
}
