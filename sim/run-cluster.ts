/**
 * The cluster simulator's command line: whole agents in one process and virtual time, one seed after the other.
 *
 *   node sim/run-cluster.ts [--seed S] [--seeds N] [--budget SECONDS] [--nodes N] [--minutes M] [--protection-changes] [--trace]
 *   node sim/run-cluster.ts --seed S --history FILE     what its clients saw of registers (docs/history-format.md)
 *
 * Ends with status 1 at the first seed that fails, after its one-line replay and the last lines of its trace.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { mark_names } from './cluster/mark-names.ts';
import { runSeed } from './cluster/run-seed.ts';
import { formatRecord, type HistoryRecord } from './history/jsonl.ts';
import { Marks } from './kit/marks.ts';
import { formatSeed, nthSeed, parseSeed } from './kit/seed.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    budget: { type: 'string' },
    nodes: { type: 'string' },
    minutes: { type: 'string', default: '10' },
    'protection-changes': { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    history: { type: 'string' },
  },
});

/** @throws RangeError unless it is a number above zero. */
function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new RangeError(`--${name} ${text}: expected a number above 0`);
  return value;
}

const base = values.seed === undefined ? null : parseSeed(values.seed);
const minutes = positive('minutes', values.minutes);
const nodes = values.nodes === undefined ? null : positive('nodes', values.nodes);
const budget_ms = values.budget === undefined ? null : positive('budget', values.budget) * 1000;
const seeds =
  values.seeds !== undefined
    ? positive('seeds', values.seeds)
    : budget_ms === null
      ? 1
      : Number.POSITIVE_INFINITY;
const history_file = values.history;
if (history_file !== undefined && (base === null || seeds !== 1))
  throw new RangeError('--history: expected --seed, a history is of one run');
const writeHistory = (to: string) => (records: readonly HistoryRecord[]) =>
  writeFileSync(to, records.map(formatRecord).join(''));
const marks = new Marks(mark_names);
const began_ms = performance.now();
let simulated_s = 0;
let running = 0;

process.on('unhandledRejection', (error) => {
  console.error(`seed ${formatSeed(running)}: an agent left a rejection unhandled`, error);
  process.exit(1);
});

let done = 0;
for (; done < seeds; done += 1) {
  if (budget_ms !== null && performance.now() - began_ms > budget_ms) break;
  // A single seed is taken as it is, so that a replay replays.
  running = base !== null && seeds === 1 ? base : nthSeed(base ?? Date.now() >>> 0, done);
  const from_ms = performance.now();
  const result = await runSeed({
    seed: running,
    nodes,
    minutes,
    protection_changes: values['protection-changes'],
    turn: setImmediate,
    ...(history_file === undefined ? {} : { history: writeHistory(history_file) }),
    ...(values.trace ? { sink: (line: string) => console.log(line) } : {}),
  });
  const wall_s = (performance.now() - from_ms) / 1000;
  simulated_s += result.simulated_s;
  marks.merge(result.marks);
  console.log(
    `seed ${formatSeed(running)}  ${result.nodes} nodes  ${result.simulated_s.toFixed(0)} s simulated, ${(result.simulated_s / wall_s).toFixed(0)} per second  converged in ${result.converged_s.toFixed(0)} s  ${result.jobs} jobs  ${result.events} events  trace ${result.hash} of ${result.lines} lines`,
  );
}
const wall_s = (performance.now() - began_ms) / 1000;
console.log(marks.table());
console.log(
  `${done} seeds, ${(simulated_s / 3600).toFixed(2)} simulated hours in ${wall_s.toFixed(0)} s: ${(simulated_s / wall_s).toFixed(0)} simulated seconds per second`,
);
