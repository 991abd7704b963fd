/**
 * Makes a failing run small, as long as the same rule is broken: what comes after the breach, then faults, then
 * commands (ddmin each), hosts, the length of the run, the precision of its times; again until nothing more goes. Chance
 * belongs to single acts (sim/cluster/acts.ts), so that leaving one out disturbs the others as little as can be.
 */
import type { TimedAct } from '../cluster/acts.ts';
import { type Candidate, isCommand, signatureOf } from './candidate.ts';
import { ddmin } from './ddmin.ts';

/** Runs a candidate. Resolves to what was broken; null: nothing. */
export type Judge = (candidate: Candidate) => Promise<string | null>;

export interface ShrinkOptions {
  readonly judge: Judge;
  /** No more runs once it says so; the best so far is the result. */
  readonly enough: () => boolean;
  readonly say: (line: string) => void;
}

export interface Shrunk {
  readonly best: Candidate;
  /** The text of the breach of `best`. */
  readonly failure: string;
  readonly runs: number;
}

const coarse_ms = [1000, 100] as const;
const short_rests_ms = [0, 10_000, 60_000] as const;
const most_rounds = 4;
const seeds_tried = 3;

/**
 * @param broken what the recorded run broke
 * @throws Error when the candidate, played again, does not break that
 */
export async function shrink(first: Candidate, broken: string, options: ShrinkOptions): Promise<Shrunk> {
  const { judge, enough, say } = options;
  const signature = signatureOf(broken);
  const found = await judge(first);
  if (found === null || signatureOf(found) !== signature)
    throw new Error(`the recorded acts, played again, do not break "${broken}" but: ${found ?? 'nothing'}`);
  let best = first;
  let failure = found;
  let runs = 1;
  // What is left out moves everything after it: other chances of the same kind are worth a try.
  const fails = async (candidate: Candidate): Promise<boolean> => {
    for (let nth = 0; nth < seeds_tried && !enough(); nth += 1) {
      runs += 1;
      const tried = { ...candidate, cluster: { ...candidate.cluster, seed: candidate.cluster.seed + nth } };
      const text = await judge(tried);
      if (text === null || signatureOf(text) !== signature) continue;
      best = tried;
      failure = text;
      return true;
    }
    return false;
  };
  const tell = (what: string) =>
    say(
      `${what}: ${best.acts.length} acts, ${best.cluster.nodes} hosts, ${best.end_ms / 1000} s; ${runs} runs`,
    );
  tell(`breaks "${signature}"`);
  for (let round = 1, before = ''; round <= most_rounds && before !== JSON.stringify(best); round += 1) {
    before = JSON.stringify(best);
    const broken_ms = momentOf(failure);
    if (broken_ms < best.end_ms) await fails(endedAt(best, broken_ms));
    await part(best, (timed) => !isCommand(timed.act), fails);
    tell('faults');
    await part(best, (timed) => isCommand(timed.act), fails);
    tell('commands');
    while (best.cluster.nodes > 1 && (await fails(withNodes(best, best.cluster.nodes - 1))));
    tell('hosts');
    for (const rest_ms of short_rests_ms) if (await fails(withRest(best, rest_ms))) break;
    for (const step_ms of coarse_ms) if (await fails(rounded(best, step_ms))) break;
    tell('times');
  }
  return { best, failure, runs };
}

type Fails = (candidate: Candidate) => Promise<boolean>;

/** Infinity when the breach names no time. It is that of the cluster, which began before the first act did: a bound all the same. */
const momentOf = (failure: string): number =>
  Number(/\(at (\d+) ms\)/.exec(failure)?.[1] ?? Number.POSITIVE_INFINITY);

/** What comes after the breach had no part in it, and nothing needs to converge. */
const endedAt = (best: Candidate, at_ms: number): Candidate => ({
  ...best,
  acts: best.acts.filter((timed) => timed.at_ms <= at_ms),
  end_ms: at_ms,
  heal: false,
});

/** ddmin over the acts of one kind; the others stay. */
async function part(best: Candidate, ofKind: (timed: TimedAct) => boolean, fails: Fails): Promise<void> {
  await ddmin(best.acts.filter(ofKind), (some) => {
    const kept = new Set(some);
    return fails({ ...best, acts: best.acts.filter((timed) => !ofKind(timed) || kept.has(timed)) });
  });
}

const withNodes = (best: Candidate, nodes: number): Candidate => ({
  ...best,
  cluster: { ...best.cluster, nodes },
});

const lastMs = (acts: readonly TimedAct[]): number => acts.at(-1)?.at_ms ?? 0;

const withRest = (best: Candidate, rest_ms: number): Candidate => ({
  ...best,
  end_ms: Math.min(best.end_ms, lastMs(best.acts) + rest_ms),
});

function rounded(best: Candidate, step_ms: number): Candidate {
  const acts = best.acts.map(({ at_ms, act }) => ({ at_ms: Math.round(at_ms / step_ms) * step_ms, act }));
  return { ...best, acts, end_ms: Math.max(best.end_ms, lastMs(acts)) };
}
