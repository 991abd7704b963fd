/**
 * Explores the Raft core: every order of deliveries, losses, timeouts, crashes and requests within bounds, breadth first,
 * with the properties of Raft looked at in every state. `node sim/run-explore.ts --help`.
 * Exits with 1 when a breach was found or a merge of states was wrong.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { createCore } from '../src/consensus/core.ts';
import { type Explored, explore, replay } from './explore/explore.ts';
import { type Scope, scopes } from './explore/scenes.ts';

const help = `Usage: node sim/run-explore.ts [options]
  --states N     distinct states, shared among the scopes (104000)
  --scope NAME   one of them only; may be given again
  --terms N      beyond the first, 1 to 4 (2)
  --entries N    proposed at most, 0 to 8 (3)
  --audits N     merges of histories that are tried in each scope (500)
  --seed N       draws which (1)
  --replay FILE  plays the steps of a trace, one a line, in the way of the scope given

Scopes:
${scopes.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}
`;

class UsageError extends Error {}

function whole(text: string, option: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`--${option} ${text}: expected a whole number from ${least} to ${most}`);
}

function chosen(names: readonly string[] | undefined): readonly Scope[] {
  if (names === undefined) return scopes;
  return names.map((name) => {
    const scope = scopes.find((one) => one.name === name);
    if (scope !== undefined) return scope;
    throw new UsageError(`--scope ${name}: expected one of ${scopes.map((one) => one.name).join(', ')}`);
  });
}

function line(scope: Scope, found: Explored, cpu_ms: number): string {
  const cells = [
    scope.name.padEnd(12),
    `${found.states} states`.padStart(15),
    `${found.steps} steps`.padStart(15),
    `depth ${found.depth}${found.complete ? ', complete' : ''}`.padEnd(18),
    `${found.member_states} of members`.padStart(17),
    `${found.audited} audits`.padStart(12),
    `${(cpu_ms / 1000).toFixed(1)} s of CPU`.padStart(15),
  ];
  return cells.join('  ');
}

/** True when all is well. */
function run(
  scope: Scope,
  states: number,
  numbers: Record<'terms' | 'entries' | 'seed' | 'audits', number>,
): boolean {
  const { terms, entries, seed, audits } = numbers;
  const before = process.cpuUsage();
  const { scene, lag } = scope;
  const found = explore({
    createCore,
    bounds: scope.bounds(terms, entries),
    scene,
    lag,
    states,
    seed,
    audits,
  });
  const { user, system } = process.cpuUsage(before);
  console.log(line(scope, found, (user + system) / 1000));
  for (const [mark, count] of Object.entries(found.marks))
    console.log(`    ${String(count).padStart(8)}  ${mark}`);
  for (const unlike of found.unlike) console.log(`  WRONG MERGE ${unlike}`);
  const { breach } = found;
  if (breach !== null) {
    console.log(`  BREACH ${breach.what}`);
    console.log(`  the first ${breach.scene_steps} of these ${breach.trace.length} steps are the scene's:`);
    for (const step of breach.trace) console.log(step);
  }
  return breach === null && found.unlike.length === 0;
}

function main(): boolean {
  const { values } = parseArgs({
    options: {
      states: { type: 'string', default: '104000' },
      scope: { type: 'string', multiple: true },
      terms: { type: 'string', default: '2' },
      entries: { type: 'string', default: '3' },
      audits: { type: 'string', default: '500' },
      seed: { type: 'string', default: '1' },
      replay: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return true;
  }
  const which = chosen(values.scope);
  if (values.replay !== undefined) {
    if (which.length !== 1) throw new UsageError('--replay: expected one --scope with it');
    const trace = readFileSync(values.replay, 'utf8')
      .split('\n')
      .filter((step) => step.startsWith('@'));
    const what = replay({ createCore, lag: which[0]!.lag }, trace);
    console.log(what === null ? `${trace.length} steps, no breach` : `BREACH ${what}`);
    return what === null;
  }
  const numbers = {
    terms: whole(values.terms, 'terms', 1, 4),
    entries: whole(values.entries, 'entries', 0, 8),
    audits: whole(values.audits, 'audits', 0, 1_000_000),
    seed: whole(values.seed, 'seed', 0, 2 ** 32 - 1),
  };
  const states = whole(values.states, 'states', which.length, 50_000_000);
  const share = Math.ceil(states / which.length);
  const outcomes = which.map((scope) => run(scope, share, numbers));
  return outcomes.every((well) => well);
}

try {
  process.exitCode = main() ? 0 : 1;
} catch (error) {
  // A RangeError: a trace with a step that is not possible.
  if (
    !(
      error instanceof UsageError ||
      error instanceof RangeError ||
      (error instanceof TypeError && 'code' in error)
    )
  )
    throw error;
  console.error(`${error.message} (see --help)`);
  process.exitCode = 2;
}
