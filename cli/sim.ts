/**
 * `skein sim`: the whole cluster in one process and virtual time, hurt in every way it must stand. Only starts the
 * simulator of a checkout; no agent is asked or touched, unless its shape is to be read.
 */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join, sep } from 'node:path';
import { CliError } from './exit-status.ts';
import { packageRoot } from './lab/host.ts';
import type { Register } from './register.ts';
import type { Session } from './session.ts';
import { readShape } from './sim-shape.ts';

const default_shape_file = 'skein-shape.json';

interface SimOptions {
  readonly nodes?: string;
  readonly hours?: string;
  readonly seed?: string;
  readonly budget?: string;
  readonly forever?: boolean;
  readonly resume?: string;
  readonly jobs?: string;
  readonly keepGoing?: boolean;
  readonly protectionChanges?: boolean;
  readonly fromCluster?: boolean;
  readonly shape?: string;
}

/** The simulator's program. @throws CliError when this is no checkout that has it */
export function simProgram(root = packageRoot()): string {
  const program = join(root, 'sim', 'run-swarm.ts');
  if (!existsSync(program))
    throw new CliError(
      `the simulator is not installed here: there is no ${program}`,
      'a checkout of skein: npm ci there, then bin/skein sim',
    );
  if (program.split(sep).includes('node_modules'))
    throw new CliError(
      `${program} is inside of node_modules, where Node runs no TypeScript`,
      'a checkout of skein: npm ci there, then bin/skein sim',
    );
  return program;
}

function argumentsOf(session: Session, options: SimOptions): readonly string[] {
  const valued = (name: string, value: string | undefined) =>
    value === undefined ? [] : [`--${name}`, value];
  const flag = (name: string, value: boolean | undefined) => (value === true ? [`--${name}`] : []);
  return [
    ...valued('nodes', options.nodes),
    ...valued('hours', options.hours),
    ...valued('seed', options.seed),
    ...valued('budget', options.budget),
    ...flag('forever', options.forever),
    ...valued('resume', options.resume),
    ...valued('jobs', options.jobs),
    ...flag('keep-going', options.keepGoing),
    ...flag('protection-changes', options.protectionChanges),
    ...valued('shape', options.shape),
    ...flag('json', session.globals.json),
  ];
}

/** Resolves to the simulator's exit status. Signals are its business: it ends in order, and this command with it. */
function run(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: 'inherit' });
    // Ctrl-C reaches both; this one waits.
    const wait = () => undefined;
    const pass = () => void child.kill('SIGTERM');
    process.on('SIGINT', wait);
    process.on('SIGTERM', pass);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      process.removeListener('SIGINT', wait);
      process.removeListener('SIGTERM', pass);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

async function sim(session: Session, options: SimOptions): Promise<number> {
  const program = simProgram();
  if (options.fromCluster !== true) return run(program, argumentsOf(session, options));
  const shape = options.shape ?? default_shape_file;
  writeFileSync(shape, `${JSON.stringify(await readShape(session), null, 1)}\n`);
  session.terminal.err(`skein: the shape of this cluster is in ${shape}; --shape ${shape} takes it again\n`);
  return run(program, argumentsOf(session, { ...options, shape }));
}

export const register: Register = (program, wrap) => {
  program
    .command('sim')
    .description('a simulated cluster in virtual time, with faults: one run, or seed after seed')
    .option('--nodes <n>', 'hosts at the beginning (default: 3 to 7, from the seed)')
    .option('--hours <h>', 'simulated hours of load and faults in one run (default: 1)')
    .option('--seed <seed>', 'what decides everything; of many runs the base (default: a new one, printed)')
    .option('--budget <time>', 'seed after seed for so long: 90s, 30m, 2h; 0 is --forever')
    .option('--forever', 'seed after seed until SIGINT or SIGTERM')
    .option('--resume <file>', 'keep account in this file, and go on from it')
    .option('--jobs <n>', 'processes at a time (default: 1)')
    .option('--keep-going', 'do not stop at the first seed that breaks a rule')
    .option('--protection-changes', 'instances become protected, and cease to be, while they run')
    .option('--from-cluster', 'a cluster shaped like this one: sizes and settings, no names')
    .option('--shape <file>', `what --from-cluster read; written there (default: ${default_shape_file})`)
    .action(wrap(sim));
};
