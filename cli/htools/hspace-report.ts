/** What hspace says of a cluster and of what it placed there: for people, and as HTS_ keys for programs. */
import { failure_order } from '../../src/placement/allocate.ts';
import type { InstanceSize, PlacedSize } from '../../src/placement/capacity.ts';
import type { DiskTemplate, PlacementFailure } from '../../src/placement/cluster.ts';
import { failureName } from '../../src/placement/cluster.ts';
import type { CapacityResult } from '../../src/placement/cluster-capacity.ts';
import { type Amounts, allocationDelta, type ClusterStats } from '../../src/placement/cluster-stats.ts';
import { fixed, shortestDecimal } from '../../src/placement/decimal.ts';
import { type KeyValue, keyLines } from './print.ts';

/** Which of the two ways of placing. */
export type Way = 'tiered' | 'standard';

const way_words: { readonly [way in Way]: { readonly prefix: string; readonly description: string } } = {
  tiered: { prefix: 'TSPEC_INI', description: 'Tiered (initial size)' },
  standard: { prefix: 'SPEC', description: 'Standard (fixed-size)' },
};

type Key = KeyValue;

const lines = (keys: readonly Key[]): string => keyLines('HTS', keys);

const efficiencies = (stats: ClusterStats) => ({
  memory: stats.instance_memory / stats.total_memory,
  disk: stats.used_disk / stats.total_disk,
  vcpu: stats.used_vcpus / stats.total_vcpus,
  spindles: stats.used_spindles / stats.total_spindles,
});

function phaseKeys(phase: string, stats: ClusterStats): readonly Key[] {
  const share = efficiencies(stats);
  const keys: readonly Key[] = [
    ['SCORE', fixed(stats.score, 8)],
    ['INST_CNT', String(stats.instances)],
    ['MEM_FREE', String(stats.free_memory)],
    ['MEM_AVAIL', String(stats.available_memory)],
    ['MEM_RESVD', String(stats.free_memory - stats.available_memory)],
    ['MEM_INST', String(stats.instance_memory)],
    ['MEM_OVERHEAD', String(stats.missing_memory + stats.node_memory)],
    ['MEM_EFF', fixed(share.memory, 8)],
    ['DSK_FREE', String(stats.free_disk)],
    ['DSK_AVAIL', String(stats.available_disk)],
    ['DSK_RESVD', String(stats.free_disk - stats.available_disk)],
    ['DSK_INST', String(stats.used_disk)],
    ['DSK_EFF', fixed(share.disk, 8)],
    ['SPN_FREE', String(stats.free_spindles)],
    ['SPN_INST', String(stats.used_spindles)],
    ['SPN_EFF', fixed(share.spindles, 8)],
    ['CPU_INST', String(stats.used_vcpus)],
    ['CPU_EFF', fixed(share.vcpu, 8)],
    ['MNODE_MEM_AVAIL', String(stats.most_available_memory)],
    ['MNODE_DSK_AVAIL', String(stats.most_available_disk)],
  ];
  return keys.map(([key, value]) => [`${phase}_${key}`, value]);
}

function totals(stats: ClusterStats, with_spindles: boolean): readonly Key[] {
  return [
    ['MEM', fixed(stats.total_memory, 0)],
    ['DSK', fixed(stats.total_disk, 0)],
    ['CPU', fixed(stats.total_cpus, 0)],
    ['VCPU', String(stats.total_vcpus)],
    ...(with_spindles ? [['SPN', fixed(stats.total_spindles, 0)] as const] : []),
  ];
}

function sizeKeys(size: InstanceSize, with_spindles: boolean): readonly Key[] {
  return [
    ['MEM', String(size.memory_mib)],
    ['DSK', String(size.disk_mib)],
    ['CPU', String(size.vcpus)],
    ...(with_spindles ? [['SPN', String(size.spindles)] as const] : []),
  ];
}

function listed(keys: readonly Key[]): string {
  return keys.map(([key, value]) => `${key} ${value}`).join(', ');
}

function prefixed(prefix: string, keys: readonly Key[]): readonly Key[] {
  return keys.map(([key, value]) => [`${prefix}_${key}`, value]);
}

export interface ReportStyle {
  readonly machine: boolean;
  /** Some node's storage is exclusive. */
  readonly exclusive: boolean;
}

export function reportCluster(style: ReportStyle, stats: ClusterStats, node_count: number): string {
  if (style.machine) {
    return lines([
      ...prefixed('CLUSTER', totals(stats, true)),
      ['CLUSTER_NODES', String(node_count)],
      ...phaseKeys('INI', stats),
    ]);
  }
  const instances = stats.instances > 0 ? String(stats.instances) : 'no';
  return (
    `The cluster has ${node_count} nodes and the following resources:\n` +
    `  ${listed(totals(stats, style.exclusive))}.\n` +
    `There are ${instances} initial instances on the cluster.\n`
  );
}

export function reportSize(style: ReportStyle, way: Way, size: InstanceSize, template: DiskTemplate): string {
  const { prefix, description } = way_words[way];
  if (style.machine) {
    return lines(
      prefixed(prefix, [
        ...sizeKeys(size, true),
        ['RQN', template === 'drbd' ? '2' : '1'],
        ['DISK_TEMPLATE', template],
      ]),
    );
  }
  const shown = listed(sizeKeys(size, style.exclusive));
  return `${description} instance spec is:\n  ${shown}, using disk template '${template}'.\n`;
}

/** Runs of one size, in order. */
function sizeCounts(placed: readonly PlacedSize[]): readonly { size: InstanceSize; count: number }[] {
  const runs: { size: InstanceSize; count: number }[] = [];
  for (const { size } of placed) {
    const last = runs.at(-1);
    if (last !== undefined && sameSize(last.size, size)) last.count += 1;
    else runs.push({ size, count: 1 });
  }
  return runs;
}

function sameSize(a: InstanceSize, b: InstanceSize): boolean {
  return (
    a.memory_mib === b.memory_mib &&
    a.disk_mib === b.disk_mib &&
    a.vcpus === b.vcpus &&
    a.spindles === b.spindles
  );
}

export function reportTiered(
  style: ReportStyle,
  before: ClusterStats,
  after: ClusterStats,
  result: CapacityResult,
): string {
  const counts = sizeCounts(result.placed);
  if (style.machine) {
    const sizes = counts.map(
      ({ size, count }) => `${size.memory_mib},${size.disk_mib},${size.vcpus},${size.spindles}=${count}`,
    );
    const { used, taken, left } = allocationDelta(before, after);
    return lines([
      ...phaseKeys('TRL', after),
      ['TSPEC', sizes.join(' ')],
      ...amountKeys('USED', used),
      ...amountKeys('POOL', taken),
      ...amountKeys('UNAV', left),
    ]);
  }
  const rows = counts.map(
    ({ size, count }) =>
      `  - ${String(count).padStart(3)} instances of spec ${listed(sizeKeys(size, style.exclusive))}\n`,
  );
  const placed = rows.length === 0 ? '  - no instances allocated\n' : rows.join('');
  return `Tiered allocation results:\n${placed}${outcome(style, before, after, result)}`;
}

function amountKeys(name: string, amounts: Amounts): readonly Key[] {
  return prefixed(`KM_${name}`, [
    ['CPU', String(amounts.vcpus)],
    ['NPU', shortestDecimal(amounts.cpus)],
    ['MEM', String(amounts.memory)],
    ['DSK', String(amounts.disk)],
    ['SPN', String(amounts.spindles)],
  ]);
}

export function reportStandard(
  style: ReportStyle,
  before: ClusterStats,
  after: ClusterStats,
  result: CapacityResult,
  instance_count: number,
): string {
  const placed = result.placed.length;
  if (!style.machine) {
    return (
      'Normal (fixed-size) allocation results:\n' +
      `  - ${String(placed).padStart(3)} instances allocated\n` +
      outcome(style, before, after, result)
    );
  }
  const reasons = byFrequency(result);
  return lines([
    ...phaseKeys('FIN', after),
    ['ALLOC_USAGE', fixed(instance_count / (instance_count + placed), 8)],
    ['ALLOC_INSTANCES', String(placed)],
    ['ALLOC_FAIL_REASON', failureName[mainReason(result)].toUpperCase()],
    ...reasons.map(
      ([failure, count]): Key => [`ALLOC_${failureName[failure].toUpperCase()}_CNT`, String(count)],
    ),
  ]);
}

/** The most frequent first; a run that was not begun names only its reason. */
function byFrequency({
  failures,
  stopped,
}: CapacityResult): readonly (readonly [PlacementFailure, number])[] {
  const counts = failure_order
    .map((failure) => [failure, failures.get(failure) ?? 0] as const)
    // The htools have no rules: where nobody failed for one, nobody is to notice.
    .filter(([failure, count]) => failure !== 'rules' || count > 0);
  return (stopped ? counts.filter(([, count]) => count > 0) : counts).sort((a, b) => b[1] - a[1]);
}

function mainReason(result: CapacityResult): PlacementFailure {
  return byFrequency(result)[0]?.[0] ?? 'internal';
}

function outcome(
  style: ReportStyle,
  before: ClusterStats,
  after: ClusterStats,
  result: CapacityResult,
): string {
  const share = efficiencies(after);
  const shown = [
    ['memory', share.memory],
    ['disk', share.disk],
    ['vcpu', share.vcpu],
    ...(style.exclusive ? [['spindles', share.spindles] as const] : []),
  ] as const;
  const width = Math.max(...shown.map(([name]) => name.length));
  const rows = shown.map(
    ([name, value]) =>
      `  - ${name.padStart(width)} usage efficiency: ${fixed(value * 100, 2).padStart(5)}%\n`,
  );
  return (
    `  - most likely failure reason: ${failureName[mainReason(result)]}\n` +
    `  - initial cluster score: ${fixed(before.score, 8)}\n` +
    `  -   final cluster score: ${fixed(after.score, 8)}\n` +
    rows.join('')
  );
}
