/** One run of the cluster simulator with a timeline for people to read. */
import { mark_names } from './cluster/mark-names.ts';
import { runSeed } from './cluster/run-seed.ts';
import { formatSeed } from './kit/seed.ts';
import { countsOf, type SwarmSettings } from './swarm/state.ts';
import { marksTable, speedLine } from './swarm/summary.ts';
import { Timeline } from './swarm/timeline.ts';

export interface OneRun {
  readonly seed: number;
  readonly settings: SwarmSettings;
  readonly say: (line: string) => void;
  readonly json: boolean;
}

/** Resolves to the exit status: 0 when all rules held. */
export async function runOne(run: OneRun): Promise<number> {
  const { seed, settings, say } = run;
  const timeline = new Timeline((entry) => {
    if (entry.kind !== 'cpus') say(`${(entry.at_ms / 1000).toFixed(1).padStart(9)} s  ${entry.text}`);
  });
  const began_ms = performance.now();
  process.on('unhandledRejection', (error) => {
    console.error(`seed ${formatSeed(seed)}: an agent left a rejection unhandled`, error);
    process.exit(1);
  });
  const outcome = await runSeed({
    seed,
    ...settings,
    turn: setImmediate,
    sink: (line) => timeline.line(line),
    observe: (cluster) => timeline.follow(cluster),
  }).then(
    (result) => ({ result, breach: null }),
    (error: Error) => ({ result: null, breach: error.message }),
  );
  const wall_s = (performance.now() - began_ms) / 1000;
  const { result, breach } = outcome;
  const marks = result === null ? {} : countsOf(result.marks);
  if (run.json)
    console.log(
      JSON.stringify(
        {
          seed,
          ...settings,
          wall_s,
          simulated_s: result?.simulated_s ?? null,
          trace: result?.hash ?? null,
          marks,
          breach,
          timeline: timeline.entries,
        },
        null,
        2,
      ),
    );
  if (result === null) {
    say(breach ?? '');
    return 1;
  }
  for (const line of marksTable(marks, mark_names)) say(line);
  say(
    `seed ${formatSeed(seed)}: ${result.nodes} nodes, ${result.jobs} jobs, converged in ${result.converged_s.toFixed(0)} s, trace ${result.hash}`,
  );
  say(speedLine(result.simulated_s, wall_s));
  say('oracles: all held');
  return 0;
}
