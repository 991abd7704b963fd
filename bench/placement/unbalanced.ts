/**
 * Clusters out of balance, of every kind that hbal can meet, of one size. A thing that is to be so of generated clusters
 * is tried on these.
 */
import type { ClusterRequest } from './generate.ts';

export function unbalancedRequests(nodes: number, instances: number): readonly ClusterRequest[] {
  const size = { nodes, instances };
  return [
    { ...size, seed: 21 },
    { ...size, seed: 22, mixed_nodes: true, odd_sizes: true },
    { ...size, seed: 23, templates: ['ext'] },
    { ...size, seed: 24, templates: ['drbd', 'plain', 'sharedfile'], offline: 0.1 },
    { ...size, seed: 25, exclusion: true, locations: true },
    { ...size, seed: 26, exclusion: true, locations: true, desired: true, mixed_nodes: true },
    { ...size, seed: 27, migration: true, offline: 0.1 },
    { ...size, seed: 28, down: 0.1, unbalanced: 0.1, forthcoming: 0.05 },
    { ...size, seed: 29, fill: 0.7 },
    { ...size, seed: 30, fill: 0.2, odd_sizes: true },
  ];
}
