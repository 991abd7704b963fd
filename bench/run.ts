/**
 * Measures what Skein promises, beside others where there are others. `npm run bench -- --help`.
 * Everything is measured on this machine, in labs and namespaces of its own that are gone afterwards; installs nothing.
 */
import { appendFileSync, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { load1 } from './clock.ts';
import { consensus } from './consensus.ts';
import { failoverCut } from './failover-cut.ts';
import { failoverKill } from './failover-kill.ts';
import type { Figure, Measurement } from './figure.ts';
import { idle } from './idle.ts';
import { job } from './job.ts';
import { list } from './list.ts';
import { noElection } from './no-election.ts';
import { placement } from './placement.ts';
import { jsonLine, table, verdict } from './report.ts';

const figures: readonly Figure[] = [
  failoverKill,
  failoverCut,
  list,
  job,
  consensus,
  idle,
  noElection,
  placement,
];

const help = `Usage: npm run bench -- [options]
  --only NAME     one of ${figures.map((figure) => figure.name).join(', ')}; may be given again
  --trials N      rounds of each (20; 5 of placement)
  --minutes N     of the test that no election happens (10)
  --quick         few rounds: shows that it works, figures are not to be quoted
  --json FILE     appends one line of JSON for each measurement
${figures.map((figure) => `  ${figure.name.padEnd(14)}  ${figure.summary}`).join('\n')}
`;

const usual_trials = 20;
const quick_trials = 3;

class UsageError extends Error {}

interface Options {
  readonly only: readonly Figure[];
  /** null: as many as are usual. */
  readonly trials: number | null;
  readonly minutes: number;
  readonly quick: boolean;
  readonly json: string | null;
}

function whole(text: string, option: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`${option} "${text}": expected a whole number from ${least} to ${most}`);
}

/** null: help was asked for. */
function readOptions(argv: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string', multiple: true },
      trials: { type: 'string' },
      minutes: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const { quick } = values;
  const names = values.only ?? figures.map((figure) => figure.name);
  const only = names.map((name) => {
    const found = figures.find((figure) => figure.name === name);
    if (found) return found;
    const known = figures.map((figure) => figure.name).join(', ');
    throw new UsageError(`--only "${name}": expected one of ${known}`);
  });
  return {
    only,
    trials: values.trials === undefined ? null : whole(values.trials, '--trials', 1, 1_000),
    minutes: whole(values.minutes ?? (quick ? '1' : '10'), '--minutes', 1, 1_440),
    quick,
    json: values.json ?? null,
  };
}

function isInstalled(command: string): boolean {
  const path = `${process.env.PATH ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`;
  return path.split(delimiter).some((dir) => existsSync(join(dir, command)));
}

/** Why a figure cannot be measured here; null if it can. */
function obstacle(figure: Figure): string | null {
  if (figure.root && process.getuid?.() !== 0) return 'needs root, for network namespaces';
  const missing = figure.needs.filter(([command]) => !isInstalled(command));
  if (missing.length === 0) return null;
  return `missing Debian packages: apt-get install ${missing.map(([, name]) => name).join(' ')}`;
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (!options) {
    process.stdout.write(help);
    return 0;
  }
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('interrupted')));
  process.once('SIGTERM', () => stop.abort(new Error('ended from outside')));
  const measured: Measurement[] = [];
  let failures = 0;
  for (const figure of options.only) {
    const why = obstacle(figure);
    if (why !== null) {
      say(`${figure.name}: left out: ${why}`);
      failures += 1;
      continue;
    }
    say(`${figure.name}: ${figure.summary} (load ${load1()})`);
    const emit = (measurement: Measurement): void => {
      measured.push(measurement);
      say(jsonLine(measurement));
      if (options.json !== null) appendFileSync(options.json, `${jsonLine(measurement)}\n`);
    };
    const { minutes, quick } = options;
    const trials = options.trials ?? (quick ? quick_trials : (figure.usual_trials ?? usual_trials));
    try {
      await figure.run({ trials, minutes, quick, emit, say, signal: stop.signal });
    } catch (error) {
      failures += 1;
      say(`${figure.name}: failed: ${(error as Error).stack}`);
      if (stop.signal.aborted) break;
    }
  }
  if (measured.length > 0) process.stdout.write(`${table(measured).join('\n')}\n`);
  const missed = measured.filter((measurement) => verdict(measurement) === 'MISSED').length;
  return failures > 0 || missed > 0 ? 1 : 0;
}

main().then(
  (status) => process.exit(status),
  (error: Error) => {
    const usage =
      error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    process.stderr.write(
      usage ? `bench: ${error.message}\nTry: npm run bench -- --help\n` : `${error.stack}\n`,
    );
    process.exit(usage ? 2 : 1);
  },
);
