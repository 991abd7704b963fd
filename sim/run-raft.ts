/**
 * The swarm simulator of consensus on the command line.
 *
 *     node sim/run-raft.ts --seed 0x1234 --ms 60000 --trace      one run, all it does
 *     node sim/run-raft.ts --seeds 100                           so many runs from a drawn base
 *     node sim/run-raft.ts --budget 480 --base 7                 runs for 480 seconds
 *     node sim/run-raft.ts --budget 480 --resume FILE            480 seconds more of what FILE says was done
 *     node sim/run-raft.ts --seeds 5 --calm                      five members without faults: how fast it is
 *
 *     node sim/run-raft.ts --seed 0x1234 --history FILE          what its clients saw of registers (docs/history-format.md)
 *
 * Prints what was run, how fast, which faults were delivered and which rare states were reached, with their rates. One
 * run of a hundred (`--twice-every`) is made twice, and must be the same. A breach of a promise ends it with status 1 and the line that
 * replays it; `--keep-going` runs on and prints all of them.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { formatRecord, type HistoryRecord } from './history/jsonl.ts';
import { formatSeed, nthSeed, parseSeed } from './kit/seed.ts';
import { fault_names, mark_names } from './raft/marks.ts';
import { type RunResult, runSeed } from './raft/run.ts';
import { rates, Tally } from './raft/tally.ts';
import { runTwice } from './raft/twice.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    budget: { type: 'string' },
    base: { type: 'string' },
    resume: { type: 'string' },
    ms: { type: 'string', default: '60000' },
    calm: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    history: { type: 'string' },
    'twice-every': { type: 'string', default: '100' },
    'keep-going': { type: 'boolean', default: false },
  },
});

/** The budget that the rates are told for. */
const long_budget_s = 7200;
const save_every_ms = 10_000;

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new RangeError(`--${name} ${text}: expected a number above 0`);
  return number;
}

const ms = numberOf('ms', values.ms);
const base = values.base === undefined ? Date.now() >>> 0 : parseSeed(values.base);
const budget_ms = values.budget === undefined ? null : 1000 * numberOf('budget', values.budget);
const count =
  values.seeds === undefined ? (budget_ms === null ? 10 : Infinity) : numberOf('seeds', values.seeds);
const one = values.seed === undefined ? null : parseSeed(values.seed);
const twice_every = numberOf('twice-every', values['twice-every']);
const file = values.resume;
if (values.history !== undefined && one === null)
  throw new RangeError('--history: expected --seed, a history is of one run');
const options = {
  ms,
  calm: values.calm,
  ...(values.history === undefined ? {} : { history: writeHistory(values.history) }),
  ...(values.trace ? { sink: (line: string) => console.log(line) } : {}),
};
// Errors are answers here, by the thousand; only for one run is it worth knowing where they were made.
if (one === null) Error.stackTraceLimit = 0;

function begun(): Tally {
  if (file === undefined || !existsSync(file)) return new Tally(base, ms);
  const tally = Tally.of(readFileSync(file, 'utf8'));
  if (tally.ms !== ms)
    throw new RangeError(`${file} is of runs of ${tally.ms} ms: expected --ms ${tally.ms}`);
  if (values.base !== undefined && tally.base !== base)
    throw new RangeError(`${file} is of base ${formatSeed(tally.base)}: expected no other --base`);
  return tally;
}

function writeHistory(to: string) {
  return (records: readonly HistoryRecord[]) => writeFileSync(to, records.map(formatRecord).join(''));
}

/** Whole or not at all. */
function save(tally: Tally): void {
  if (file === undefined) return;
  writeFileSync(`${file}.new`, tally.toText());
  renameSync(`${file}.new`, file);
}

const tally = begun();
const { sum } = tally;
const recoveries: number[] = [];
let peak_in_flight = 0;
let done = 0;

async function run(seed: number, twice: boolean): Promise<RunResult> {
  const once = (of: number) => runSeed(of, options);
  if (!twice) return await once(seed);
  sum.twice++;
  return await runTwice(once, seed);
}

if (one === null)
  console.log(
    `base ${formatSeed(tally.base)}, ${ms} ms each${sum.seeds > 0 ? `, from seed ${sum.seeds} on` : ''}`,
  );
const begun_ms = performance.now();
const wall_before_ms = sum.wall_ms;
const virtual_before_ms = sum.virtual_ms;
const events_before = sum.events;
let saved_ms = begun_ms;
for (; done < (one === null ? count : 1); done++) {
  const now_ms = performance.now();
  sum.wall_ms = wall_before_ms + now_ms - begun_ms;
  if (budget_ms !== null && now_ms - begun_ms > budget_ms) break;
  if (now_ms - saved_ms > save_every_ms) {
    save(tally);
    saved_ms = now_ms;
  }
  const nth = sum.seeds;
  const seed = one ?? nthSeed(tally.base, nth);
  sum.seeds++;
  try {
    const result = await run(seed, one === null && nth % twice_every === twice_every - 1);
    tally.add(result);
    recoveries.push(result.recovery_ms);
    peak_in_flight = Math.max(peak_in_flight, result.peak_in_flight);
    if (one !== null) console.log(`hash ${result.trace_hash}`);
  } catch (error) {
    tally.breaches.push(seed);
    console.error(`\nBREACH ${error instanceof Error ? error.message : String(error)}`);
    if (values.trace && error instanceof Error) console.error(error.cause);
    if (!values['keep-going']) break;
  }
}
const wall_s = (performance.now() - begun_ms) / 1000;
sum.wall_ms = wall_before_ms + 1000 * wall_s;
save(tally);
const { user, system } = process.cpuUsage();
const cpu_s = (user + system) / 1e6;
const simulated_s = (sum.virtual_ms - virtual_before_ms) / 1000;
recoveries.sort((a, b) => a - b);
const at = (share: number) => recoveries[Math.floor(share * (recoveries.length - 1))] ?? 0;
const total =
  file === undefined
    ? ''
    : ` (all: ${sum.seeds} seeds, ${(sum.virtual_ms / 3.6e6).toFixed(1)} simulated hours)`;
console.log(`
runs ${done}, breaches ${tally.breaches.length}, ${sum.twice} run twice, ${wall_s.toFixed(1)} s${total}
simulated ${simulated_s.toFixed(0)} s: ${(simulated_s / wall_s).toFixed(0)} a second, ${(simulated_s / cpu_s).toFixed(0)} a second of CPU; ${sum.events - events_before} events, ${((sum.events - events_before) / cpu_s).toFixed(0)} a second of CPU
operations: ${sum.ok} ok, ${sum.failed} failed, ${sum.unknown} unknown; ${sum.committed} entries, ${sum.terms} terms with a leader
recovery: median ${at(0.5).toFixed(0)} ms, p99 ${at(0.99).toFixed(0)} ms, longest ${at(1).toFixed(0)} ms
frames on their way in one link: at most ${peak_in_flight}

faults delivered
${rates(fault_names, tally.faults, sum, long_budget_s)}

rare states reached: ${tally.marks.reached.length} of ${mark_names.length}
${rates(mark_names, tally.marks, sum, long_budget_s)}`);
if (tally.breaches.length > 0) process.exitCode = 1;
