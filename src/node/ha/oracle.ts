/**
 * Oracle O1, "no double run": the intervals in which a protected instance's virtual CPUs run on different hosts never
 * overlap (docs/ha.md, property P). Pure, over what somebody outside all agents saw on one clock.
 */

export interface RunEvent {
  /** One observer's clock. Events of a list are in its order. */
  readonly at_ms: number;
  readonly host: string;
  readonly instance: string;
  /** Its virtual CPUs may run from now on, or no longer. */
  readonly runs: boolean;
}

export interface DoubleRun {
  readonly instance: string;
  readonly hosts: readonly [string, string];
  readonly from_ms: number;
  /** null: until the end of what was seen. */
  readonly to_ms: number | null;
}

/** Every overlap, in order of its beginning. A moment shared by an end and a start that come in this order is none. */
export function doubleRuns(events: readonly RunEvent[]): readonly DoubleRun[] {
  const running = new Map<string, Set<string>>();
  const open = new Map<
    string,
    { instance: string; hosts: readonly [string, string]; from_ms: number; to_ms: number | null }
  >();
  const found: DoubleRun[] = [];
  let last_ms = Number.NEGATIVE_INFINITY;
  for (const { at_ms, host, instance, runs } of events) {
    if (at_ms < last_ms) throw new Error(`events out of order: ${at_ms} ms after ${last_ms} ms`);
    last_ms = at_ms;
    const hosts = running.get(instance) ?? new Set<string>();
    running.set(instance, hosts);
    if (runs === hosts.has(host)) continue;
    if (runs) {
      for (const other of hosts) {
        const overlap = { instance, hosts: [other, host] as const, from_ms: at_ms, to_ms: null };
        open.set(`${instance} ${[other, host].sort().join(' ')}`, overlap);
        found.push(overlap);
      }
      hosts.add(host);
      continue;
    }
    hosts.delete(host);
    for (const other of hosts) {
      const key = `${instance} ${[other, host].sort().join(' ')}`;
      const overlap = open.get(key);
      if (overlap !== undefined) overlap.to_ms = at_ms;
      open.delete(key);
    }
  }
  return found;
}
