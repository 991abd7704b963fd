/**
 * Reads the shape of the running cluster through the local agent, for a simulation of one like it. What leaves the
 * cluster are sizes, counts and settings: never a name, an address, a parameter of an OS, or a tag of people's own.
 */
import { CliError, exit_status } from './exit-status.ts';
import type { Row } from './fields.ts';
import type { Session } from './session.ts';

const templates: readonly unknown[] = ['diskless', 'file', 'sharedfile'];
const known_tag = /^(skein:priority:-?\d+|ganeti:watcher:autorepair:[a-z-]+)$/;
/** A longer lease than this is nearer to the default ones than to the scaled. */
const most_scaled_lease_ms = 5_000;

/** Ready to be written as JSON; sim/swarm/shape.ts reads it. */
export interface ShapeFile {
  readonly version: 1;
  readonly nodes: number;
  readonly candidate_pool_size: number;
  readonly lease: 'default' | 'scaled';
  readonly instances: readonly {
    readonly node: number;
    readonly disk_template: string;
    readonly disks_mib: readonly number[];
    readonly memory_mib: number;
    readonly vcpus: number;
    readonly up: boolean;
    readonly tags: readonly string[];
  }[];
}

/** @throws CliError when the cluster has what the simulator does not */
export async function readShape(session: Session): Promise<ShapeFile> {
  const [cluster] = await session.query('cluster', [], false);
  if (cluster === undefined)
    throw new CliError(
      'this host is in no cluster',
      'skein sim without --from-cluster',
      exit_status.no_cluster,
    );
  const nodes = await session.query('node', [], false, ['name']);
  const fields = ['pnode', 'disk_template', 'disk.sizes', 'beparams', 'admin_state', 'tags'];
  const rows = await session.query('instance', [], false, fields);
  const names = nodes.map((node) => String(node.name));
  const { lease_ms } = cluster.ha as { readonly lease_ms: number };
  return {
    version: 1,
    nodes: names.length,
    candidate_pool_size: Number(cluster.candidate_pool_size),
    lease: lease_ms > most_scaled_lease_ms ? 'default' : 'scaled',
    instances: rows.map((row) => instanceShape(row, names)),
  };
}

function instanceShape(row: Row, names: readonly string[]): ShapeFile['instances'][number] {
  const disk_template = String(row.disk_template);
  if (!templates.includes(disk_template))
    throw new CliError(
      `an instance has disks of template ${disk_template}, which is not simulated`,
      'skein sim without --from-cluster',
    );
  const be = row.beparams as { readonly maxmem: number; readonly vcpus: number };
  return {
    node: names.indexOf(String(row.pnode)) + 1,
    disk_template,
    disks_mib: (row['disk.sizes'] as readonly number[]).map((size) => Math.max(1, Math.ceil(size))),
    memory_mib: be.maxmem,
    vcpus: be.vcpus,
    up: row.admin_state === 'up',
    tags: (row.tags as readonly string[]).filter((tag) => known_tag.test(tag)),
  };
}
