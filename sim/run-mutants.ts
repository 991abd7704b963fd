/**
 * The mutation score: each wrong variant of the source (sim/mutants) against the simulator that must notice it.
 *
 *     node sim/run-mutants.ts                                 all of them, up to 200 seeds each
 *     node sim/run-mutants.ts --mutant NAME --mutant NAME     some of them
 *     node sim/run-mutants.ts --simulator raft                those of one simulator
 *     node sim/run-mutants.ts --base 7 --seeds 50 --budget 60 the seeds, how many at most (`--from`: but the first), and seconds a mutant at most
 *     node sim/run-mutants.ts --table docs/mutants.md         and the outcomes go into that page, in place of older ones
 *     node sim/run-mutants.ts --no-control                    without the real code on the seeds that killed a mutant
 *
 * One child process a mutant, one at a time; the child puts the patched text in place when it loads the module, nothing
 * on disk is changed. A kill counts only if the real code gets through the same seed; where it does not, the mutant goes
 * on with the next. Afterwards the real code must get through every seed that was used up to a kill. Ends with status
 * 1 when a mutant survives that must not, when the real code fails, or when a patch does not apply.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatSeed, nthSeed, parseSeed } from './kit/seed.ts';
import { filesOf, type Mutant, PatchError, patched, type SimulatorName } from './mutants/mutant.ts';
import { oracleOf } from './mutants/oracle-names.ts';
import { pageOf, type Row, real_code, rowsOf } from './mutants/report.ts';
import { simulators } from './mutants/simulators.ts';
import { mutants } from './mutants/table.ts';

const { values } = parseArgs({
  options: {
    mutant: { type: 'string', multiple: true },
    simulator: { type: 'string', multiple: true },
    base: { type: 'string' },
    /** Of these seeds, the first. */
    from: { type: 'string', default: '0' },
    seeds: { type: 'string', default: '200' },
    budget: { type: 'string', default: '300' },
    hang: { type: 'string', default: '120' },
    table: { type: 'string' },
    'no-control': { type: 'boolean', default: false },
    /** What a child runs: a mutant's name, or `real` for the code as it is. */
    child: { type: 'string' },
  },
});

/** What a child says when it ends. */
interface Verdict {
  /** From the base on, whichever was run first. */
  readonly seeds: number;
  /** null: every seed went well. */
  readonly breach: string | null;
  readonly seed: number;
}

interface Outcome extends Verdict {
  readonly oracle: string;
  readonly wall_s: number;
}

const root = new URL('../', import.meta.url);
const verdict_mark = 'verdict ';

/** Puts the mutant in the place of the real code. Returns the files that were not loaded yet. */
function install(mutant: Mutant): ReadonlySet<string> {
  const left = new Set(filesOf(mutant));
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const file = url.startsWith(root.href) ? url.slice(root.href.length) : '';
      if (!left.has(file)) return loaded;
      left.delete(file);
      const source =
        typeof loaded.source === 'string'
          ? loaded.source
          : new TextDecoder().decode(loaded.source as Uint8Array);
      return { ...loaded, source: patched(file, source, mutant.edits) };
    },
  });
  return left;
}

async function child(
  name: string,
  simulator: SimulatorName,
  base: number,
  from: number,
  seeds: number,
  budget_ms: number,
): Promise<void> {
  const mutant = name === 'real' ? null : find(name);
  const unloaded = mutant === null ? new Set<string>() : install(mutant);
  const say = (verdict: Verdict) =>
    process.stdout.write(`\n${verdict_mark}${JSON.stringify(verdict)}\n`, () => process.exit(0));
  const run = await simulators[simulator](setImmediate);
  if (unloaded.size > 0) throw new PatchError(`${simulator} never loads ${[...unloaded].join(', ')}`);
  const begun_ms = performance.now();
  let nth = from;
  const seed = () => nthSeed(base, nth);
  const broken = (error: unknown) =>
    say({ seeds: nth + 1, breach: error instanceof Error ? error.message : String(error), seed: seed() });
  process.on('unhandledRejection', broken);
  process.on('uncaughtException', broken);
  for (; nth < seeds && performance.now() - begun_ms < budget_ms; nth += 1) {
    // The parent looks for hangs: it must hear of each seed.
    process.stdout.write('.');
    try {
      await run(seed(), nth);
    } catch (error) {
      broken(error);
      return;
    }
  }
  say({ seeds: nth, breach: null, seed: base });
}

function find(name: string): Mutant {
  const mutant = mutants.find((one) => one.name === name);
  if (mutant === undefined)
    throw new RangeError(`--mutant ${name}: expected one of ${mutants.map((one) => one.name).join(', ')}`);
  return mutant;
}

/** Runs a child to its end. @throws Error when it could not run the simulator */
function judge(
  name: string,
  simulator: SimulatorName,
  base: number,
  from: number,
  seeds: number,
): Promise<Outcome> {
  const begun_ms = performance.now();
  const hang_ms = 1000 * number('hang');
  const args = [fileURLToPath(import.meta.url), '--child', name, '--simulator', simulator];
  args.push(
    '--base',
    String(base),
    '--from',
    String(from),
    '--seeds',
    String(seeds),
    '--budget',
    values.budget,
  );
  const proc = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let out = '';
    let errors = '';
    let begun = from;
    let hung = false;
    const give_up = () => {
      hung = true;
      proc.kill('SIGKILL');
    };
    let patience = setTimeout(give_up, hang_ms);
    proc.stdout.setEncoding('utf8').on('data', (text: string) => {
      clearTimeout(patience);
      patience = setTimeout(give_up, hang_ms);
      begun += text.split('.').length - 1;
      out = (out + text).slice(-200_000);
    });
    proc.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-4000);
    });
    proc.on('error', reject);
    proc.on('close', () => {
      clearTimeout(patience);
      const wall_s = (performance.now() - begun_ms) / 1000;
      const line = out.split('\n').findLast((one) => one.startsWith(verdict_mark));
      if (line !== undefined) {
        const verdict = JSON.parse(line.slice(verdict_mark.length)) as Verdict;
        resolve({ ...verdict, oracle: verdict.breach === null ? '' : oracleOf(verdict.breach), wall_s });
      } else if (hung && begun > from) {
        const seed = nthSeed(base, begun - 1);
        resolve({
          seeds: begun,
          breach: `a seed took more than ${hang_ms} ms`,
          oracle: 'hang',
          seed,
          wall_s,
        });
      } else {
        reject(new Error(`${name} in ${simulator} ended without a verdict:\n${errors}`));
      }
    });
  });
}

function number(name: 'seeds' | 'budget' | 'hang'): number {
  const value = Number(values[name]);
  if (!(value > 0)) throw new RangeError(`--${name} ${values[name]}: expected a number above 0`);
  return value;
}

function row(cells: readonly string[]): string {
  const widths = [46, 9, 40, 6, 9];
  return cells
    .map((cell, i) => (i === 3 || i === 4 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i] ?? 0)))
    .join(' ');
}

/** Whole or not at all, after each mutant: a run that is ended early has not been for nothing. */
function report(now: readonly Row[]): void {
  const file = values.table;
  if (file === undefined) return;
  const before = existsSync(file) ? rowsOf(readFileSync(file, 'utf8')) : [];
  writeFileSync(`${file}.new`, pageOf(mutants, before, now));
  renameSync(`${file}.new`, file);
}

/** Runs a mutant until a seed kills it that the real code gets through. */
async function hunt({ name, simulator }: Mutant, base: number): Promise<Outcome> {
  for (let from = Number(values.from); ; ) {
    const outcome = await judge(name, simulator, base, from, number('seeds'));
    if (outcome.breach === null || values['no-control']) return outcome;
    const real = await realOn(simulator, base, outcome.seeds - 1);
    if (real.breach === null) return outcome;
    console.log(
      `    ${formatSeed(outcome.seed)} proves nothing, the real code: ${real.breach.split('\n')[0]}`,
    );
    from = outcome.seeds;
  }
}

const real_outcomes = new Map<string, Promise<Outcome>>();

/** The real code on one seed; each is run once. */
function realOn(simulator: SimulatorName, base: number, nth: number): Promise<Outcome> {
  const key = `${simulator} ${nth}`;
  const known = real_outcomes.get(key) ?? judge('real', simulator, base, nth, nth + 1);
  real_outcomes.set(key, known);
  return known;
}

/** The real code on all seeds that were used up to a kill. True when it gets through them. */
async function control(used: ReadonlyMap<SimulatorName, number>, base: number): Promise<boolean> {
  let well = true;
  for (const [simulator, seeds] of used) {
    const outcome = await judge('real', simulator, base, 0, seeds);
    const by = outcome.breach === null ? null : outcome.oracle;
    report([{ name: real_code, simulator, by, seeds: outcome.seeds, base }]);
    well &&= outcome.breach === null && outcome.seeds === seeds;
    console.log(
      row([
        'the real code',
        simulator,
        outcome.breach === null ? '-' : outcome.oracle,
        String(outcome.seeds),
        `${outcome.wall_s.toFixed(1)} s`,
      ]),
    );
    if (outcome.breach !== null)
      console.log(`    ${formatSeed(outcome.seed)}: ${outcome.breach.slice(0, 2000)}`);
  }
  return well;
}

async function all(): Promise<boolean> {
  const base = values.base === undefined ? Date.now() >>> 0 : parseSeed(values.base);
  const chosen = mutants.filter(
    ({ name, simulator }) =>
      (values.mutant === undefined || values.mutant.includes(name)) &&
      (values.simulator === undefined || values.simulator.includes(simulator)),
  );
  for (const name of values.mutant ?? []) find(name);
  console.log(
    `base ${formatSeed(base)}, ${chosen.length} mutants, at most ${values.seeds} seeds and ${values.budget} s each`,
  );
  console.log(row(['mutant', 'simulator', 'killed by', 'seeds', 'wall']));
  const seeds_to_kill: number[] = [];
  const survivors: Mutant[] = [];
  const errors: string[] = [];
  const used = new Map<SimulatorName, number>();
  for (const mutant of chosen) {
    const { name, simulator } = mutant;
    const outcome = await hunt(mutant, base).catch((error: Error) => {
      errors.push(error.message);
      return null;
    });
    if (outcome === null) {
      console.log(row([name, simulator, 'ERROR', '', '']));
      continue;
    }
    const killed = outcome.breach !== null;
    report([{ name, simulator, by: killed ? outcome.oracle : null, seeds: outcome.seeds, base }]);
    const by = killed ? outcome.oracle : mutant.survives === undefined ? 'SURVIVED' : 'survived, as argued';
    console.log(row([name, simulator, by, String(outcome.seeds), `${outcome.wall_s.toFixed(1)} s`]));
    if (!killed) {
      if (mutant.survives === undefined) survivors.push(mutant);
      continue;
    }
    seeds_to_kill.push(outcome.seeds);
    used.set(simulator, Math.max(used.get(simulator) ?? 0, outcome.seeds));
    console.log(`    ${formatSeed(outcome.seed)}: ${outcome.breach?.split('\n')[0]?.slice(0, 120)}`);
  }
  const well = values['no-control'] || (await control(used, base));
  seeds_to_kill.sort((a, b) => a - b);
  const median = seeds_to_kill[Math.floor(seeds_to_kill.length / 2)] ?? 0;
  console.log(
    `\n${seeds_to_kill.length} of ${chosen.length} killed, in ${median} seeds at the median, ${seeds_to_kill.at(-1) ?? 0} at most`,
  );
  for (const { name, danger } of survivors) console.log(`SURVIVED ${name}: ${danger}`);
  for (const { name, survives } of chosen)
    if (survives !== undefined) console.log(`may survive ${name}: ${survives}`);
  for (const error of errors) console.log(`ERROR ${error}`);
  if (!well) console.log('THE REAL CODE FAILS on a seed above, or was not through in time');
  return survivors.length === 0 && errors.length === 0 && well;
}

if (values.child === undefined) {
  process.exitCode = (await all()) ? 0 : 1;
} else {
  const [simulator] = values.simulator ?? [];
  await child(
    values.child,
    simulator as SimulatorName,
    parseSeed(values.base ?? '0'),
    Number(values.from),
    number('seeds'),
    1000 * number('budget'),
  );
}
