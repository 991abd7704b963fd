/**
 * A failing run as data: the cluster, what was done to it and when, and how it is written as a scenario. Pure.
 */
import type { Act, TimedAct } from '../cluster/acts.ts';
import type { ClusterOptions } from '../cluster/cluster.ts';
import { parseScenario, type Scenario } from '../scenarios/scenario.ts';

export type ClusterShape = Omit<ClusterOptions, 'trace' | 'turn'>;

export interface Candidate {
  readonly cluster: ClusterShape;
  readonly acts: readonly TimedAct[];
  /** When it ends, since the first act could be. */
  readonly end_ms: number;
  /** Everything is mended then, and must converge. Without it the end is the end. */
  readonly heal: boolean;
}

/** What clients do; everything else breaks or mends something. */
export const isCommand = (act: Act): boolean => ['submit', 'cancel', 'registers', 'join'].includes(act.do);

export function toScenario({ cluster, acts, end_ms, heal }: Candidate): Scenario {
  const { seed, nodes, habits, delays, drift, lease, candidate_pool_size } = cluster;
  const last_ms = acts.at(-1)?.at_ms ?? 0;
  const input = {
    cluster: { nodes, seed, lease, drift, candidate_pool_size, delays, habits },
    // A partition may have all hosts on one side: no way is cut then.
    steps: acts
      .filter(({ act }) => !('ways' in act) || act.ways !== '')
      .map(({ at_ms, act }) => ({ at_s: at_ms / 1000, act })),
    rest_s: Math.max(0, end_ms - last_ms) / 1000,
    heal,
  };
  // Read as what is written will be read.
  return parseScenario(JSON.stringify(input));
}

/** Which rule was broken: what two failures have in common when names, numbers and times differ. */
export function signatureOf(failure: string): string {
  const [line = ''] = failure.split('\n');
  const text = line
    .replace(/\(at \d+ \w+\)/, '')
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'UUID')
    .replace(/\d+/g, '#')
    .replace(/\b[in]#/g, 'NAME')
    .replace(/\[[^\]]*\]/g, '[]')
    .trim();
  const [oracle] = /^O#/.exec(text) ?? [];
  // An oracle of convergence speaks of many things; all others of one.
  return oracle === undefined || /^O8/.test(line) ? text : (/^O\d+/.exec(line)?.[0] ?? text);
}
