/**
 * What the leader must remember between two decisions: since when each node is silent or calm, and whether the storm
 * brake is on (docs/ha.md, "Repair"). Pure: (memory, view) → memory. A new leader starts from nothing.
 */
import type { HaView } from '../ha-types.ts';
import { isSuspect } from './evidence.ts';

export interface HaMemory {
  readonly suspect_since_ms: ReadonlyMap<string, number>;
  /** Of returning nodes only, by this leader's own clock: when they were recorded so, another leader's clock may have said. */
  readonly calm_since_ms: ReadonlyMap<string, number>;
  readonly storm: {
    readonly on: boolean;
    /** Since when no more nodes than allowed are suspect; null: there are more. */
    readonly below_since_ms: number | null;
  };
}

export const no_memory: HaMemory = {
  suspect_since_ms: new Map(),
  calm_since_ms: new Map(),
  storm: { on: false, below_since_ms: null },
};

/** 60 s with the default lease of 10 s: the time of a storm, and of calm before a returning node takes new work. */
export function calmMs(ha: HaView['ha']): number {
  return 6 * ha.lease_ms;
}

/** How many suspect nodes are no storm: max(2, 30 %). */
export function stormThreshold(nodes: number): number {
  return Math.max(2, 0.3 * nodes);
}

export function observe(memory: HaMemory, view: HaView): HaMemory {
  const suspect_since_ms = new Map<string, number>();
  const calm_since_ms = new Map<string, number>();
  for (const { uuid, health } of view.nodes) {
    if (isSuspect(view, uuid)) suspect_since_ms.set(uuid, memory.suspect_since_ms.get(uuid) ?? view.now_ms);
    else if (view.heard.has(uuid) && health === 'returning')
      calm_since_ms.set(uuid, memory.calm_since_ms.get(uuid) ?? view.now_ms);
  }
  const storm = nextStorm(memory.storm, view, suspect_since_ms);
  return { suspect_since_ms, calm_since_ms, storm };
}

/**
 * On when more nodes than the threshold fell silent within one calm time; off when no more than the threshold have
 * been silent for as long. A node already declared lost is not counted: while the brake is on none is declared so,
 * hence a new leader sees the storm that its predecessor saw.
 */
function nextStorm(
  storm: HaMemory['storm'],
  view: HaView,
  suspect_since_ms: ReadonlyMap<string, number>,
): HaMemory['storm'] {
  const counted = view.nodes.filter((node) => !node.offline);
  const threshold = stormThreshold(counted.length);
  const silent = counted.filter(
    (node) => suspect_since_ms.has(node.uuid) && node.health !== 'lost' && node.health !== 'fenced',
  );
  const calm_ms = calmMs(view.ha);
  if (!storm.on) {
    const fresh = silent.filter((node) => view.now_ms - (suspect_since_ms.get(node.uuid) ?? 0) <= calm_ms);
    return { on: fresh.length > threshold, below_since_ms: null };
  }
  if (silent.length > threshold) return { on: true, below_since_ms: null };
  const below_since_ms = storm.below_since_ms ?? view.now_ms;
  return { on: view.now_ms - below_since_ms < calm_ms, below_since_ms };
}
