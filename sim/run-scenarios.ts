/**
 * Plays scenario folders: `why.md`, `scenario.json`, `log.golden` (docs/simulator.md).
 *
 *   node sim/run-scenarios.ts [--rewrite] [--trace] [NAME…]
 *
 * NAME is a folder of sim/scenarios, or a path. `--rewrite` puts down the logs as they are now; nothing is put down for
 * a scenario whose rules or expectations are broken. Ends with status 1 when one failed.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { differences, formatLog, parseLog } from './scenarios/golden.ts';
import { playScenario } from './scenarios/play.ts';
import { parseScenario, type Scenario } from './scenarios/scenario.ts';

export interface ScenarioResult {
  readonly name: string;
  /** Nothing when it held. */
  readonly wrong: readonly string[];
  readonly simulated_s: number;
  readonly lines: number;
}

const home = fileURLToPath(new URL('./scenarios/', import.meta.url));

export function scenarioNames(): readonly string[] {
  return readdirSync(home, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

const folderOf = (name: string): string => (name.includes('/') ? name : join(home, name));

/** @throws Error that names what is wrong with it */
export function loadScenario(name: string): Scenario {
  return parseScenario(readFileSync(join(folderOf(name), 'scenario.json'), 'utf8'));
}

export async function runScenario(
  name: string,
  rewrite: boolean,
  sink: ((line: string) => void) | null = null,
): Promise<ScenarioResult> {
  const folder = folderOf(name);
  const scenario = loadScenario(name);
  const why = readFileSync(join(folder, 'why.md'), 'utf8').trim();
  const { log, failure, simulated_s } = await playScenario(scenario, setImmediate, { sink });
  const golden = join(folder, 'log.golden');
  const wrong: string[] = why === '' ? ['why.md is empty'] : [];
  if (failure !== null) wrong.push(failure, ...formatLog(log).trimEnd().split('\n').slice(-20));
  else if (rewrite) writeFileSync(golden, formatLog(log));
  else if (!existsSync(golden)) wrong.push('there is no log.golden; --rewrite makes it');
  else wrong.push(...differences(parseLog(readFileSync(golden, 'utf8')), log));
  return { name: basename(folder), wrong, simulated_s, lines: log.length };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rewrite: { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
    },
  });
  const names = positionals.length > 0 ? positionals : scenarioNames();
  const width = Math.max(...names.map((name) => basename(name).length));
  let failed = 0;
  let simulated_s = 0;
  const began_ms = performance.now();
  for (const name of names) {
    const from_ms = performance.now();
    const sink = values.trace ? (line: string) => console.log(line) : null;
    const result = await runScenario(name, values.rewrite, sink);
    simulated_s += result.simulated_s;
    const wall_s = (performance.now() - from_ms) / 1000;
    const ok = result.wrong.length === 0;
    if (!ok) failed += 1;
    console.log(
      `${ok ? 'ok  ' : 'FAIL'}  ${result.name.padEnd(width)}  ${result.simulated_s.toFixed(0).padStart(6)} s simulated  ${wall_s.toFixed(1).padStart(5)} s  ${String(result.lines).padStart(3)} lines`,
    );
    for (const line of result.wrong) console.log(`        ${line}`);
  }
  const wall_s = (performance.now() - began_ms) / 1000;
  console.log(
    `${names.length - failed} of ${names.length} scenarios held; ${simulated_s.toFixed(0)} s simulated in ${wall_s.toFixed(1)} s`,
  );
  process.exitCode = failed === 0 ? 0 : 1;
}

if (import.meta.main) await main();
