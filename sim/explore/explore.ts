/**
 * Explores every order of events within bounds, breadth first: the first breach found is one of the nearest.
 * The same options give the same states in the same order. It ends with the first breach, when nothing new is left
 * (`complete`), or when it has as many states as it may.
 */
import { configurationOf } from '../../src/consensus/arithmetic.ts';
import { seededRandom } from '../../src/consensus/virtual-env.ts';
import { Audit } from './audit.ts';
import { type Bounds, onFrom } from './bounds.ts';
import { Clusters } from './cluster.ts';
import { Director, moveText } from './director.ts';
import type { CoreFactory, Lag } from './host.ts';
import { marksOf } from './marks.ts';
import { member_ids } from './names.ts';
import { StateTable } from './state-table.ts';

export interface ExploreOptions {
  readonly createCore: CoreFactory;
  readonly bounds: Bounds;
  readonly lag: Lag;
  /** Where to begin. */
  readonly scene: (director: Director) => void;
  /** Distinct states at most. */
  readonly states: number;
  /** Draws which merges are audited. */
  readonly seed: number;
  /** How many merges are audited at most. */
  readonly audits: number;
}

export interface Breach {
  readonly what: string;
  /** Every step from the start, the scene's first. */
  readonly trace: readonly string[];
  /** How many of them are the scene's. */
  readonly scene_steps: number;
}

export interface Explored {
  /** Distinct states of the cluster, up to renaming. */
  readonly states: number;
  /** Steps that changed something, those to known states included. */
  readonly steps: number;
  /** Distinct states of single members. */
  readonly member_states: number;
  readonly messages: number;
  /** Steps beyond the scene: every state up to here but the last level was looked at. */
  readonly depth: number;
  readonly complete: boolean;
  readonly breach: Breach | null;
  /** Merges of histories that were tried, and those that a further input told apart. */
  readonly audited: number;
  readonly unlike: readonly string[];
  /** How many states had something worth reaching. */
  readonly marks: Readonly<Record<string, number>>;
}

export function explore(options: ExploreOptions): Explored {
  const audit = new Audit(options.audits, seededRandom(options.seed));
  const host_options = { ...options.lag, createCore: options.createCore, apart: false };
  const clusters = new Clusters(host_options, (merge) => audit.note(merge));
  const director = startOf(clusters);
  options.scene(director);
  const scene = director.moves.map(moveText);
  const bounds = onFrom(director.cluster.chronicle.value.used, options.bounds);
  const table = new StateTable();
  const depths: number[] = [0];
  const marks = new Map<string, number>();
  let steps = 0;
  let complete = true;
  let found: { what: string; path: string[] } | null = null;

  const pathTo = (number: number): string[] => {
    const path: string[] = [];
    for (let row = table.row(number); row.parent !== -1; row = table.row(row.parent)) {
      path.push(moveText({ ...row, input: clusters.members.inputs.at(row.input) }));
    }
    return path.reverse();
  };

  table.add(director.cluster, -1, null);
  if (director.breach !== null) found = { what: director.breach, path: [] };
  let number = 0;
  for (; number < table.size && found === null; number++) {
    if (table.size >= options.states) {
      complete = false;
      break;
    }
    const row = table.row(number);
    const cluster = clusters.at(row.members, row.network, row.chronicle);
    for (const next of clusters.next(cluster, bounds)) {
      steps++;
      const added = table.add(next.cluster, number, next);
      if (added.fresh) {
        depths.push(depths[number]! + 1);
        for (const mark of marksOf(next.cluster)) marks.set(mark, (marks.get(mark) ?? 0) + 1);
      }
      const what = next.breach ?? (added.fresh ? clusters.breach(next.cluster) : null);
      if (what !== null) {
        found = { what, path: [...pathTo(number), moveText(next)] };
        break;
      }
    }
  }
  const breach =
    found === null ? null : { what: found.what, trace: [...scene, ...found.path], scene_steps: scene.length };
  if (breach !== null) confirm(options, breach);
  return {
    states: table.size,
    steps,
    member_states: clusters.members.size,
    messages: clusters.members.messages.size,
    depth: depths.at(-1)!,
    complete: complete && found === null,
    breach,
    ...audit.run(clusters.members),
    marks: Object.fromEntries([...marks].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/**
 * Plays a trace from the very start, nothing merged, and says what breaks, with its last step or before; null: nothing.
 * @throws RangeError when a step of it is not possible
 */
export function replay(
  options: Pick<ExploreOptions, 'createCore' | 'lag'>,
  trace: readonly string[],
): string | null {
  const host_options = { ...options.lag, createCore: options.createCore, apart: true };
  const director = startOf(new Clusters(host_options, () => undefined));
  for (const line of trace) {
    director.play(line);
    if (director.breach !== null) return director.breach;
  }
  return null;
}

/** A wrong merge could show a breach that never happens: that is a fault of this explorer, and told apart here. */
function confirm(options: ExploreOptions, { what, trace }: Breach): void {
  const again = replay(options, trace);
  if (again === what) return;
  throw new Error(
    `not a breach but a wrong merge: "${what}" found, "${again}" when replayed\n${trace.join('\n')}`,
  );
}

/** Three voters with empty logs. */
export function startOf(clusters: Clusters): Director {
  const configuration = configurationOf(member_ids);
  const blank = clusters.start(() => ({
    hard_state: { term: 0, vote: 0, commit: 0 },
    snapshot: { index: 0, term: 0, configuration },
    entries: [],
    applied: 0,
  }));
  return new Director(clusters, blank);
}
