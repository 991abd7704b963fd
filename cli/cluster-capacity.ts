/** `skein cluster capacity`: what still fits, and what the loss of a node would do. */
import type { ClusterReport, SizeCount } from '../src/placement/cluster-report.ts';
import type { Session } from './session.ts';
import { formatSize } from './sizes.ts';

export interface CapacityOptions {
  readonly diskTemplate?: string;
  readonly lost?: string;
}

export async function capacity(session: Session, options: CapacityOptions): Promise<void> {
  const report = await session.call('cluster.capacity', {
    ...(options.diskTemplate === undefined ? {} : { disk_template: options.diskTemplate }),
    ...(options.lost === undefined ? {} : { lost: options.lost }),
  });
  if (session.globals.json) session.printJson(report);
  else for (const line of capacityLines(report, options.lost !== undefined)) session.print(line);
}

/** @param all also of nodes whose loss would leave nobody without a place */
export function capacityLines(report: ClusterReport, all: boolean): readonly string[] {
  const groups = report.groups.flatMap((group) => {
    const head = `Group ${group.name} (${group.alloc_policy}): ${group.usable} of ${group.nodes} nodes take instances`;
    if (group.stopped !== null && group.standard.count === 0 && group.tiered.length === 0) {
      return [head, `  nothing more fits: ${group.stopped}`];
    }
    return [
      head,
      `  ${countText(group.standard)} (the standard size)`,
      ...group.tiered.map((tier) => `  or ${countText(tier)}`),
    ];
  });
  const losses = report.losses.flatMap(({ node, instances, homeless }) => {
    if (homeless.length === 0) {
      return all ? [`If ${node} is lost, each of its ${instances} instances finds a place.`] : [];
    }
    return [
      `If ${node} is lost, ${homeless.length} of its ${instances} instances find no place:`,
      ...homeless.map(({ text }) => `  ${text}`),
    ];
  });
  if (losses.length > 0 || all) return [...groups, ...losses];
  return [...groups, 'Any one node may be lost: each of its instances would find a place.'];
}

function countText({ size, count }: SizeCount): string {
  const cpus = `${size.vcpus} ${size.vcpus === 1 ? 'CPU' : 'CPUs'}`;
  return `${count} of ${formatSize(size.memory_mib, 'h')} memory, ${formatSize(size.disk_mib, 'h')} disk, ${cpus}`;
}
