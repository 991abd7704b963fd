/**
 * A child of a swarm run: takes one seed after the other from its parent and answers with what came of each. It lives
 * as long as the run, so that all seeds meet the same code, and ends with its parent. A rejection that an agent left
 * unhandled is a breach of the seed that runs.
 */
import { runSeed } from './cluster/run-seed.ts';
import { formatSeed } from './kit/seed.ts';
import { countsOf, type Given, type SeedDone, type SwarmSettings } from './swarm/state.ts';

export interface SwarmOrder {
  readonly given: Given;
  readonly settings: SwarmSettings;
}

export type SwarmAnswer =
  | { readonly nth: number; readonly done: SeedDone; readonly line: string }
  | { readonly nth: number; readonly breach: string };

let running: SwarmOrder | null = null;

const answer = (message: SwarmAnswer) => process.send!(message);

/** @throws Error when the seed breaks a rule, or its second run differs */
async function work({ given, settings }: SwarmOrder): Promise<SwarmAnswer> {
  const { nth, seed, twice } = given;
  const began_ms = performance.now();
  const run = () => runSeed({ seed, ...settings, turn: setImmediate });
  const result = await run();
  const wall_s = (performance.now() - began_ms) / 1000;
  if (twice) {
    const second = await run();
    if (second.hash !== result.hash || second.lines !== result.lines)
      throw new Error(
        `two runs of seed ${formatSeed(seed)} differ: ${result.hash} of ${result.lines} lines, ${second.hash} of ${second.lines}`,
      );
  }
  return {
    nth,
    done: {
      simulated_s: result.simulated_s,
      events: result.events,
      jobs: result.jobs,
      repeated: twice,
      marks: countsOf(result.marks),
    },
    line: `seed ${formatSeed(seed)}  ${result.nodes} nodes  ${result.simulated_s.toFixed(0)} s simulated, ${(result.simulated_s / wall_s).toFixed(0)} per second  converged in ${result.converged_s.toFixed(0)} s  ${result.jobs} jobs  trace ${result.hash}${twice ? ', twice' : ''}`,
  };
}

process.on('message', (order: SwarmOrder) => {
  running = order;
  work(order).then(answer, (error: Error) => answer({ nth: order.given.nth, breach: error.message }));
});
process.on('unhandledRejection', (error) => {
  const text = `an agent left a rejection unhandled: ${error instanceof Error ? error.stack : String(error)}`;
  process.send!({ nth: running!.given.nth, breach: text } satisfies SwarmAnswer, () => process.exit(1));
});
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole group; it is for the parent to decide.
process.on('SIGINT', () => undefined);
