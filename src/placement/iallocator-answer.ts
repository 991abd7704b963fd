/**
 * Answers of the IAllocator protocol, byte for byte as hail gives them: one object, its keys in hail's order, and the
 * opcodes of evacuations with the parameters that hail gives.
 */
import type { PlacementCluster } from './cluster.ts';

export interface AllocatorAnswer {
  readonly success: boolean;
  readonly info: string;
  /** What it is depends on the request; an empty list where there is none. */
  readonly result: unknown;
}

export function formatAnswer({ success, info, result }: AllocatorAnswer): string {
  return JSON.stringify({ success, info, result });
}

/** That a request was fulfilled. */
export function successful(info: string, result: unknown): AllocatorAnswer {
  return { success: true, info: `Request successful: ${info}`, result };
}

/** That a request was understood and cannot be fulfilled. */
export function failed(info: string): AllocatorAnswer {
  return { success: false, info: `Request failed: ${info}`, result: [] };
}

/** A step of moving an instance; several in order are a job. */
export type MoveStep =
  | { readonly kind: 'replace-secondary'; readonly node: number }
  /** Roles are swapped, or (with a node) the instance goes where its disks can be reached. */
  | { readonly kind: 'take-over'; readonly node: number | null };

export type Opcode = { readonly OP_ID: string } & { readonly [parameter: string]: unknown };

/** Ganeti's default, in seconds. */
const shutdown_timeout = 120;

/** The opcode of a step. A reservation cannot be migrated, there is nothing of it yet. */
export function opcodeOf(cluster: PlacementCluster, instance: number, step: MoveStep): Opcode {
  const { name, forthcoming } = cluster.instances[instance]!;
  const target = step.node === null ? undefined : cluster.nodes[step.node]!.name;
  if (step.kind === 'replace-secondary') {
    return {
      OP_ID: 'OP_INSTANCE_REPLACE_DISKS',
      instance_name: name,
      early_release: false,
      ignore_ipolicy: false,
      mode: 'replace_new_secondary',
      disks: [],
      remote_node: target,
    };
  }
  if (forthcoming) {
    return {
      OP_ID: 'OP_INSTANCE_FAILOVER',
      instance_name: name,
      shutdown_timeout,
      ignore_consistency: false,
      ...(target === undefined ? {} : { target_node: target }),
      ignore_ipolicy: false,
      cleanup: false,
    };
  }
  return {
    OP_ID: 'OP_INSTANCE_MIGRATE',
    instance_name: name,
    ...(target === undefined ? {} : { target_node: target }),
    allow_runtime_changes: false,
    ignore_ipolicy: false,
    cleanup: false,
    allow_failover: true,
    ignore_hvversions: true,
  };
}
