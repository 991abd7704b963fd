/**
 * Reduces a failing seed of the cluster simulator to a scenario folder that breaks the same rule.
 *
 *   node sim/run-shrink.ts --seed S [--nodes N] [--minutes M] [--protection-changes] [--budget T] [--out FOLDER]
 *
 * The options are those of the line that replays the seed. `--budget` is real time (default 10m); the best so far is
 * written when it is over. Ends with status 1 when the seed breaks no rule.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { TimedAct } from './cluster/acts.ts';
import type { SimCluster } from './cluster/cluster.ts';
import { runSeed } from './cluster/run-seed.ts';
import { formatSeed, parseSeed } from './kit/seed.ts';
import { formatLog } from './scenarios/golden.ts';
import { playScenario } from './scenarios/play.ts';
import { type Candidate, toScenario } from './shrink/candidate.ts';
import { shrink } from './shrink/shrink.ts';
import { parseSeconds } from './swarm/duration.ts';

/** While shrinking, what has not converged by then counts as never. */
const most_settle_ms = 150_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    nodes: { type: 'string' },
    minutes: { type: 'string', default: '10' },
    'protection-changes': { type: 'boolean', default: false },
    budget: { type: 'string', default: '10m' },
    out: { type: 'string' },
  },
});

async function record(seed: number): Promise<{ candidate: Candidate; broken: string } | null> {
  const acts: TimedAct[] = [];
  let cluster: SimCluster | null = null;
  let broken = '';
  const minutes = Number(values.minutes);
  try {
    await runSeed({
      seed,
      nodes: values.nodes === undefined ? null : Number(values.nodes),
      minutes,
      protection_changes: values['protection-changes'],
      turn: setImmediate,
      observe: (made) => {
        cluster = made;
      },
      record: (timed) => acts.push(timed),
    });
    return null;
  } catch (error) {
    broken = (error as Error).message.split('\n')[0] ?? '';
    console.log(`${formatSeed(seed)}: ${broken}`);
  }
  const { trace: _, turn: __, ...shape } = (cluster as unknown as SimCluster).options;
  return { candidate: { cluster: shape, acts, end_ms: minutes * 60_000, heal: true }, broken };
}

async function main(): Promise<number> {
  if (values.seed === undefined) throw new RangeError('--seed S is missing');
  const seed = parseSeed(values.seed);
  const folder = values.out ?? join('sim', 'scenarios', `seed-${formatSeed(seed).slice(2)}`);
  const end_ms = performance.now() + parseSeconds(values.budget) * 1000;
  const recorded = await record(seed);
  if (recorded === null) {
    console.log(`${formatSeed(seed)} breaks no rule`);
    return 1;
  }
  const { candidate: first, broken } = recorded;
  const { best, failure, runs } = await shrink(first, broken, {
    judge: async (candidate) =>
      (await playScenario(toScenario(candidate), setImmediate, { most_settle_ms })).failure,
    enough: () => performance.now() > end_ms,
    say: (line) => console.log(line),
  });
  const scenario = toScenario(best);
  const { log, failure: final } = await playScenario(scenario, setImmediate, {});
  const why = `Seed ${formatSeed(seed)} of the cluster simulator, shrunk from ${first.acts.length} acts to ${best.acts.length}. It broke: ${failure.split('\n')[0]}.\n`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'scenario.json'), `${JSON.stringify(scenario, null, 2)}\n`);
  writeFileSync(join(folder, 'why.md'), why);
  writeFileSync(join(folder, 'log.golden'), formatLog(log));
  console.log(formatLog(log));
  console.log(
    `${folder}: ${best.acts.length} of ${first.acts.length} acts after ${runs} runs; ${final ?? 'broken no more with all the time to converge'}`,
  );
  return 0;
}

main().then(
  (status) => {
    process.exitCode = status;
  },
  (error: Error) => {
    console.error(error instanceof RangeError ? `shrink: ${error.message}` : error.stack);
    process.exitCode = 2;
  },
);
