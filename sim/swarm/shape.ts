/**
 * The shape of a real cluster, to simulate one like it: sizes and settings by number, no names of anything. `skein sim
 * --from-cluster` writes it (cli/sim-shape.ts). Pure.
 */
import { z } from 'zod';
import type { OpInput } from '../../src/config/model.ts';

const instance = z.strictObject({
  /** Counted from 1. */
  node: z.number().int().min(1),
  disk_template: z.enum(['diskless', 'file', 'sharedfile']),
  disks_mib: z.array(z.number().int().min(1)),
  memory_mib: z.number().int().min(1),
  vcpus: z.number().int().min(1),
  up: z.boolean(),
  /** Only those that mean something to repair. */
  tags: z.array(z.string()),
});

const shape = z.strictObject({
  version: z.literal(1),
  nodes: z.number().int().min(1).max(1000),
  candidate_pool_size: z.number().int().min(1),
  lease: z.enum(['default', 'scaled']),
  instances: z.array(instance),
});

export type Shape = z.output<typeof shape>;

/** @throws RangeError that names what is wrong */
export function parseShape(text: string): Shape {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RangeError(`shape: ${(error as Error).message}`);
  }
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  throw new RangeError(`shape: ${z.prettifyError(result.error)}`);
}

/** How each instance of it is made in the simulation, as i1, i2, … on n1, n2, … */
export function createOps({ instances }: Shape): readonly OpInput[] {
  return instances.map((one, nth) => ({
    OP_ID: 'OP_INSTANCE_CREATE',
    mode: 'create',
    instance_name: `i${nth + 1}`,
    pnode: `n${one.node}`,
    disk_template: one.disk_template,
    disks: one.disks_mib.map((size) => ({ size })),
    nics: [],
    beparams: { maxmem: one.memory_mib, minmem: one.memory_mib, vcpus: one.vcpus },
    start: one.up,
    tags: one.tags,
    no_install: true,
  }));
}
