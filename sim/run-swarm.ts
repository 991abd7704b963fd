/**
 * The whole cluster in virtual time, for users: `skein sim` starts this.
 *
 *   node sim/run-swarm.ts [--seed S] [--nodes N] [--hours H] [--shape FILE] [--protection-changes] [--json]
 *       one run, its timeline, a summary
 *   node sim/run-swarm.ts --budget 2h | --forever [--resume FILE] [--jobs J] [--keep-going] …
 *       seed after seed in J processes, until the time is over or somebody stops it
 *
 * Ends with status 1, and the line that replays it, when a rule is broken; with 2 when the arguments are wrong.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parseSeed } from './kit/seed.ts';
import { runSwarm } from './run-swarm-budget.ts';
import { runOne } from './run-swarm-one.ts';
import { parseSeconds } from './swarm/duration.ts';
import { parseShape } from './swarm/shape.ts';

function readArguments() {
  return parseArgs({
    options: {
      seed: { type: 'string' },
      nodes: { type: 'string' },
      hours: { type: 'string', default: '1' },
      budget: { type: 'string' },
      forever: { type: 'boolean', default: false },
      resume: { type: 'string' },
      jobs: { type: 'string', default: '1' },
      'keep-going': { type: 'boolean', default: false },
      shape: { type: 'string' },
      'protection-changes': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  }).values;
}

/** @throws RangeError unless it is a number above zero */
function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new RangeError(`--${name} ${text}: expected a number above 0`);
  return value;
}

function whole(name: string, text: string): number {
  const value = positive(name, text);
  if (!Number.isInteger(value)) throw new RangeError(`--${name} ${text}: expected a whole number`);
  return value;
}

async function main(): Promise<number> {
  const values = readArguments();
  const shape = values.shape === undefined ? null : parseShape(readFileSync(values.shape, 'utf8'));
  const settings = {
    nodes: values.nodes === undefined ? (shape?.nodes ?? null) : whole('nodes', values.nodes),
    minutes: positive('hours', values.hours) * 60,
    protection_changes: values['protection-changes'],
    shape,
  };
  const seed = values.seed === undefined ? Date.now() >>> 0 : parseSeed(values.seed);
  const say = values.json ? (line: string) => console.error(line) : (line: string) => console.log(line);
  if (values.budget === undefined && !values.forever) {
    if (values.resume !== undefined) throw new RangeError('--resume FILE is for --budget and --forever');
    return runOne({ seed, settings, say, json: values.json });
  }
  const budget_s = values.budget === undefined || values.forever ? 0 : parseSeconds(values.budget);
  return runSwarm({
    base: seed,
    settings,
    say,
    json: values.json,
    budget_s: budget_s === 0 ? Number.POSITIVE_INFINITY : budget_s,
    resume: values.resume ?? null,
    jobs: whole('jobs', values.jobs),
    keep_going: values['keep-going'],
  });
}

// A reader that has seen enough (`| head`) ends it quietly, like other programs.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

main().then(
  (status) => {
    process.exitCode = status;
  },
  (error: Error) => {
    const usage =
      error instanceof RangeError ||
      String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS');
    console.error(usage ? `sim: ${error.message}\nTry: skein sim --help` : error.stack);
    process.exitCode = usage ? 2 : 1;
  },
);
