/**
 * The CPU load that Ganeti's monitoring daemons (MonD) report, put into a cluster: the one kind that is known of whole
 * nodes (`cpu-avg-load`: divided among a node's instances by their virtual CPUs), and the one that Xen knows of each
 * instance (`xen-cpu-avg-load`). Either all nodes have reported, or nothing is changed. Asking is the caller's.
 */
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import { InputError } from './input-error.ts';
import { fieldsOf, listField, textField } from './json-fields.ts';

export type Collector = 'cpu-avg-load' | 'xen-cpu-avg-load';

/** What a collector reported, by node; what it is worth is seen later. */
export type Reports = ReadonlyMap<string, unknown>;

/** From a list of what nodes' daemons said (hbal's `--mond-data`). Throws {@link InputError}. */
export function parseReports(text: string, collector: Collector): Reports {
  const found = new Map<string, unknown>();
  for (const [at, entry] of listOf(text).entries()) {
    const node = fieldsOf(entry, `item ${at}`);
    const name = textField(node, 'node');
    const reports = listField(node, 'reports').map((report, place) =>
      fieldsOf(report, `item ${at} ('${name}'): key 'reports', item ${place}`),
    );
    const report = reports.find((one) => textField(one, 'name') === collector);
    if (report !== undefined) found.set(name, report.object.data);
  }
  return found;
}

function listOf(text: string): readonly unknown[] {
  const expected = 'a list of objects with node and reports';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InputError(
      'file',
      `no JSON: ${error instanceof Error ? error.message : String(error)}`,
      expected,
    );
  }
  if (!Array.isArray(value)) throw new InputError('file', 'Unable to read list', expected);
  return value;
}

/** What one daemon answered when it was asked for one report. Throws {@link InputError}. */
export function parseReport(text: string, node: string): unknown {
  try {
    return fieldsOf(JSON.parse(text), node).object.data;
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(node, error instanceof Error ? error.message : String(error), 'a report as JSON');
  }
}

/** The cluster with these loads, or why it cannot be told. */
export function withMeasuredLoad(
  cluster: PlacementCluster,
  collector: Collector,
  reports: Reports,
): { readonly cluster: PlacementCluster } | { readonly missing: string } {
  const readable = collector === 'cpu-avg-load' ? total : each;
  if (cluster.nodes.some(({ name }) => readable(reports.get(name)) === null)) {
    return { missing: `Didn't receive an answer by all MonDs, ${collector}'s data will be ignored.` };
  }
  return collector === 'cpu-avg-load' ? dividedLoad(cluster, reports) : ownLoad(cluster, reports);
}

function dividedLoad(cluster: PlacementCluster, reports: Reports): { readonly cluster: PlacementCluster } {
  const nodes = cluster.nodes.map((node) => ({ ...node, cpu_load: total(reports.get(node.name)) ?? 0 }));
  const cpus = nodes.map(({ node_cpus }) => node_cpus);
  for (const instance of cluster.instances) if (usesCpus(instance)) cpus[instance.primary]! += instance.vcpus;
  const instances = cluster.instances.map((instance) => {
    const node = nodes[instance.primary];
    if (node === undefined) return instance;
    return withCpu(instance, (node.cpu_load / cpus[instance.primary]!) * instance.vcpus);
  });
  return { cluster: { ...cluster, nodes, instances } };
}

function ownLoad(
  cluster: PlacementCluster,
  reports: Reports,
): { readonly cluster: PlacementCluster } | { readonly missing: string } {
  const loads = new Map<string, number>();
  for (const { name } of cluster.nodes) {
    for (const [instance, load] of each(reports.get(name)) ?? []) loads.set(instance, load);
  }
  const unknown = cluster.instances
    .filter(({ name }) => !loads.has(name))
    .map(({ name }) => JSON.stringify(name));
  if (unknown.length > 0) return { missing: `No CPU information available for [${unknown.join(',')}]` };
  const instances = cluster.instances.map((instance) => withCpu(instance, loads.get(instance.name)!));
  return { cluster: { ...cluster, instances } };
}

function usesCpus({ forthcoming, status }: PlacementInstance): boolean {
  return !forthcoming && status !== 'ADMIN_offline';
}

function withCpu(instance: PlacementInstance, cpu: number): PlacementInstance {
  return { ...instance, utilisation: { ...instance.utilisation, cpu } };
}

/** As the htools do, whole reports only: the number of CPUs, and a load for each. */
function total(data: unknown): number | null {
  if (typeof data !== 'object' || data === null) return null;
  const { cpu_number, cpus, cpu_total } = data as Readonly<Record<string, unknown>>;
  const whole = typeof cpu_number === 'number' && Array.isArray(cpus) && cpus.every(isNumber);
  return whole && isNumber(cpu_total) ? cpu_total : null;
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

function each(data: unknown): readonly (readonly [string, number])[] | null {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return null;
  const loads = Object.entries(data);
  return loads.every((load): load is [string, number] => typeof load[1] === 'number') ? loads : null;
}
