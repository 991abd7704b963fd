/** What scenes have in common: a small group of cores in which member 1 leads, and how long to wait for anything. */
import assert from 'node:assert/strict';
import type { MemberId } from '../../src/consensus/index.ts';
import { seededRandom, TestCluster } from '../../src/consensus/test-cluster.ts';

/** @throws Error when what must happen does not */
export type Scene = (seed: number) => void | Promise<void>;
export type Scenes = Readonly<Record<string, Scene>>;

/** Of the cores below. */
export const election_ticks = 10;
export const patience = 8 * election_ticks;

export function group(seed: number, count: number): TestCluster {
  const ids = Array.from({ length: count }, (_, i) => i + 1);
  const cluster = new TestCluster(ids, { seed, options: { random: seededRandom(seed) } });
  cluster.elect(1);
  cluster.ticks(3);
  return cluster;
}

export function stillLeads(cluster: TestCluster, id: MemberId, term: number): void {
  const status = cluster.status(id);
  assert.deepEqual(
    { role: status.role, term: status.term },
    { role: 'leader', term },
    'a lead that nothing was wrong with',
  );
}
