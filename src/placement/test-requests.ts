/** Requests for generated clusters, for property tests: every feature, small enough for thousands of moves. */
import fc from 'fast-check';
import type { ClusterRequest } from '../../bench/placement/generate.ts';

/** Large enough to have something to move. */
export const cluster_requests: fc.Arbitrary<ClusterRequest> = fc.record({
  nodes: fc.integer({ min: 3, max: 8 }),
  instances: fc.integer({ min: 2, max: 30 }),
  seed: fc.integer({ min: 0, max: 1_000_000 }),
  groups: fc.constantFrom(1, 1, 2),
  templates: fc.constantFrom(['drbd'] as const, ['drbd', 'plain', 'sharedfile'] as const, ['ext'] as const),
  offline: fc.constantFrom(0, 0, 0.3),
  mixed_nodes: fc.boolean(),
  odd_sizes: fc.boolean(),
  down: fc.constantFrom(0, 0.3),
  unbalanced: fc.constantFrom(0, 0.2),
  forthcoming: fc.constantFrom(0, 0.2),
  exclusion: fc.boolean(),
  locations: fc.boolean(),
  desired: fc.boolean(),
  migration: fc.boolean(),
  fill: fc.constantFrom(0.3, 0.6, 0.9, 1.1),
});

/** So that whoever writes to it fails. */
export function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) frozen(part);
  return value;
}
