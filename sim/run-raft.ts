/**
 * The swarm simulator of consensus on the command line.
 *
 *     node sim/run-raft.ts --seed 0x1234 --ms 60000 --trace      one run, all it does
 *     node sim/run-raft.ts --seeds 100                           so many runs from a drawn base
 *     node sim/run-raft.ts --budget 480 --base 7                 runs for 480 seconds
 *
 * Prints what was run, how fast, which faults were delivered and which rare states were reached. A breach of a promise
 * ends it with status 1 and the line that replays it; `--keep-going` runs on and prints all of them.
 */
import { parseArgs } from 'node:util';
import { Marks } from './kit/marks.ts';
import { formatSeed, nthSeed, parseSeed } from './kit/seed.ts';
import { fault_names, mark_names } from './raft/marks.ts';
import { runSeed } from './raft/run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    budget: { type: 'string' },
    base: { type: 'string' },
    ms: { type: 'string', default: '60000' },
    trace: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
  },
});

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
const sink = values.trace ? { sink: (line: string) => console.log(line) } : {};

const marks = new Marks(mark_names);
const faults = new Marks(fault_names);
const totals = { runs: 0, virtual_ms: 0, events: 0, ok: 0, failed: 0, unknown: 0, committed: 0, terms: 0 };
const recoveries: number[] = [];
let peak_in_flight = 0;
let breaches = 0;

if (one === null) console.log(`base ${formatSeed(base)}, ${ms} ms each`);
const begun_ms = performance.now();
for (let nth = 0; nth < (one === null ? count : 1); nth++) {
  if (budget_ms !== null && performance.now() - begun_ms > budget_ms) break;
  try {
    const result = await runSeed(one ?? nthSeed(base, nth), { ms, ...sink });
    marks.merge(result.marks);
    faults.merge(result.faults);
    totals.runs++;
    totals.virtual_ms += result.virtual_ms;
    totals.events += result.events;
    totals.ok += result.operations.ok;
    totals.failed += result.operations.failed;
    totals.unknown += result.operations.unknown;
    totals.committed += result.committed;
    totals.terms += result.terms;
    recoveries.push(result.recovery_ms);
    peak_in_flight = Math.max(peak_in_flight, result.peak_in_flight);
    if (one !== null) console.log(`hash ${result.trace_hash}`);
  } catch (error) {
    breaches++;
    console.error(`\nBREACH ${error instanceof Error ? error.message : String(error)}`);
    if (values.trace && error instanceof Error) console.error(error.cause);
    if (!values['keep-going']) break;
  }
}
const { user, system } = process.cpuUsage();
const cpu_s = (user + system) / 1e6;
const wall_s = (performance.now() - begun_ms) / 1000;
recoveries.sort((a, b) => a - b);
const at = (share: number) => recoveries[Math.floor(share * (recoveries.length - 1))] ?? 0;
console.log(`
runs ${totals.runs}, breaches ${breaches}, ${wall_s.toFixed(1)} s
simulated ${(totals.virtual_ms / 1000).toFixed(0)} s: ${(totals.virtual_ms / 1000 / wall_s).toFixed(0)} a second, ${(totals.virtual_ms / 1000 / cpu_s).toFixed(0)} a second of CPU; ${totals.events} events, ${(totals.events / cpu_s).toFixed(0)} a second of CPU
operations: ${totals.ok} ok, ${totals.failed} failed, ${totals.unknown} unknown; ${totals.committed} entries, ${totals.terms} terms with a leader
recovery: median ${at(0.5).toFixed(0)} ms, p99 ${at(0.99).toFixed(0)} ms, longest ${at(1).toFixed(0)} ms
frames on their way in one link: at most ${peak_in_flight}

faults delivered
${faults.table()}

rare states reached: ${marks.reached.length} of ${mark_names.length}
${marks.table()}`);
if (breaches > 0) process.exitCode = 1;
