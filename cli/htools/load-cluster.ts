/** Where an htool gets its cluster from, by its options; with the warnings that its figures call for. */
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { parseAllocatorInput } from '../../src/placement/iallocator-format.ts';
import { missingFigures } from '../../src/placement/missing-figures.ts';
import { simulateCluster } from '../../src/placement/simulated-cluster.ts';
import { parseTextCluster } from '../../src/placement/text-format.ts';
import { reasonOf, ToolError, type ToolIo } from './tool-io.ts';

export interface ClusterSource {
  /** A file in the text format. */
  readonly text_file: string | null;
  /** In the order in which they were given. */
  readonly simulate: readonly string[];
  readonly rapi?: string | null;
  readonly luxi?: string | null;
  /** A file with an IAllocator request. */
  readonly allocator_file?: string | null;
  readonly kvm_node_memory_mib: number;
  readonly verbose: number;
}

/** Throws {@link ToolError}. */
export function loadCluster(io: ToolIo, source: ClusterSource): PlacementCluster {
  const given = [source.rapi, source.luxi, source.text_file, source.allocator_file].filter(
    (one) => one !== null && one !== undefined,
  );
  if (given.length > 1) {
    throw new ToolError('Error: Only one of the rapi, luxi, and data file options should be given.');
  }
  const cluster = fromSource(io, source);
  if (source.verbose > 0) warnOfMissingFigures(io, cluster);
  return cluster;
}

function fromSource(io: ToolIo, source: ClusterSource): PlacementCluster {
  const { simulate, text_file, allocator_file, kvm_node_memory_mib } = source;
  try {
    if (typeof source.rapi === 'string') throw new ToolError('the RAPI backend (-m) is not there yet');
    if (typeof source.luxi === 'string')
      throw new ToolError('the LUXI backend (-L) is not there: use -t or -m');
    if (simulate.length > 0) return simulateCluster(simulate);
    if (text_file !== null) return parseTextCluster(io.read(text_file));
    if (typeof allocator_file === 'string') {
      return parseAllocatorInput(io.read(allocator_file), { kvm_node_memory_mib }).cluster;
    }
    throw new ToolError('No backend selected! Exiting.');
  } catch (error) {
    const reason =
      error instanceof ToolError ? error.message : reasonOf(error, text_file ?? allocator_file ?? '');
    throw new ToolError(`Error: failed to load data, aborting: ${reason}`);
  }
}

export function warnOfMissingFigures(io: ToolIo, cluster: PlacementCluster): void {
  const lines = missingFigures(cluster);
  if (lines.length === 0) return;
  io.err(`Warning: cluster has inconsistent data:\n${lines.map((line) => `  - ${line}\n`).join('')}\n`);
}
