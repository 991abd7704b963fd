/** `skein lab`: its commands. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Command } from 'commander';
import { CliError, exit_status, usageError } from '../exit-status.ts';
import { parseWhole } from '../key-values.ts';
import type { Register, Wrap } from '../register.ts';
import type { Session } from '../session.ts';
import { labDown } from './down.ts';
import { labCut, labFreeze, labHeal, labPowerOff, labPowerOn, labThaw } from './faults.ts';
import { hostArgv, hostEnvironment, logFile, packageRoot } from './host.ts';
import { type Lab, labUp, openLab } from './lab.ts';
import { labStatus, printLabStatus } from './status.ts';
import { describeTorture, type TortureCommandOptions, torture } from './torture.ts';

interface DirOptions {
  readonly dir?: string;
}

interface UpOptions extends DirOptions {
  readonly nodes?: string;
  readonly lease: string;
  readonly hypervisor: string;
  readonly masterIp: string;
  readonly init: boolean;
  readonly namespaces: boolean;
}

function dirOf(session: Session, options: DirOptions): string {
  return options.dir ?? session.terminal.env.SKEIN_LAB ?? '.lab';
}

function oneOf<T extends string>(text: string, option: string, allowed: readonly T[]): T {
  const found = allowed.find((word) => word === text);
  if (found !== undefined) return found;
  throw usageError(`${option} "${text}" is not known`, `one of ${allowed.join(', ')}`);
}

async function up(session: Session, options: UpOptions): Promise<void> {
  const { lab, already } = await labUp({
    dir: dirOf(session, options),
    ...(options.nodes === undefined ? {} : { nodes: parseWhole(options.nodes, '--nodes', 1) }),
    lease: oneOf(options.lease, '--lease', ['default', 'scaled']),
    hypervisor: oneOf(options.hypervisor, '--hypervisor', ['kvm', 'fake']),
    master_ip: options.masterIp,
    init: options.init,
    ...(options.namespaces ? {} : { namespaces: false }),
    log: (line) => session.terminal.err(`${line}\n`),
  });
  if (session.globals.json) {
    session.printJson(await labStatus(lab));
    return;
  }
  const why = lab.record.namespaces ? '' : ' (no root: loopback addresses, no master IP, no cut)';
  session.print(already ? `The lab in ${lab.dir} is up.` : `The lab in ${lab.dir} is up now${why}.`);
  session.print(`Next: skein -N n1 node list, skein lab status, skein lab cut n1, skein lab down`);
}

/** Runs a command on a host, or on the client's; its exit status. */
function execute(lab: Lab, name: string, argv: readonly string[]): Promise<number> {
  const client = name === 'client' || name === 'cl';
  if (client && !lab.client)
    throw new CliError('this lab has no client: it has no namespaces', 'skein lab exec n1 -- …');
  const node = client ? null : lab.node(name);
  const [program = '', ...args] = hostArgv(node ?? { namespace: lab.client?.namespace ?? null }, argv);
  const path = `${join(packageRoot(), 'bin')}${delimiter}${process.env.PATH ?? ''}`;
  const env = {
    ...(node ? { ...hostEnvironment(node), SKEIN_SOCKET: node.socket } : process.env),
    PATH: path,
  };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env });
    // Ctrl-C is for the command; this process ends when that does.
    const ignore = (): undefined => undefined;
    process.on('SIGINT', ignore);
    child.on('error', (error) =>
      reject(new CliError(`${program}: ${error.message}`, 'the name of a program')),
    );
    child.on('close', (code, signal) => {
      process.removeListener('SIGINT', ignore);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

interface LogOptions extends DirOptions {
  readonly follow?: boolean;
  readonly lines: string;
}

async function logs(session: Session, name: string, options: LogOptions): Promise<void> {
  const path = logFile(openLab(dirOf(session, options)).node(name));
  if (!existsSync(path)) throw new CliError(`${path} does not exist yet`, 'skein lab status');
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  session.printLines(lines.slice(-parseWhole(options.lines, '--lines', 1)));
  if (options.follow) await follow(session, path);
}

async function follow(session: Session, path: string): Promise<void> {
  const state = { ended: false };
  const undo = session.terminal.onInterrupt(() => {
    state.ended = true;
  });
  let at = statSync(path).size;
  const file = await open(path);
  try {
    while (!state.ended) {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(65_536), position: at });
      at += bytesRead;
      if (bytesRead > 0) session.terminal.out(buffer.subarray(0, bytesRead));
      else await new Promise((resolve) => setTimeout(resolve, 200));
    }
  } finally {
    undo();
    await file.close();
  }
}

/** A command on one host of a lab that exists. */
function onHost<O extends DirOptions>(
  wrap: Wrap,
  act: (lab: Lab, name: string, options: O, session: Session) => Promise<string> | string,
): (...args: unknown[]) => Promise<void> {
  return wrap(async (session, name: string, options: O) => {
    const text = await act(openLab(dirOf(session, options)), name, options, session);
    if (session.globals.json) session.printJson({ node: name, done: text });
    else session.print(text);
  });
}

function addDir(command: Command): Command {
  return command.option('--dir <dir>', 'the lab’s directory (default: SKEIN_LAB, or ./.lab)');
}

export const register: Register = (program, wrap) => {
  const lab = program
    .command('lab')
    .description('a cluster of several agents on this one machine, to try and to hurt');
  addDir(lab.command('up'))
    .description('bring the lab up, or what is missing of it')
    .option('--nodes <n>', 'how many hosts (3)')
    .option('--lease <set>', 'default, or scaled: short leases for tests', 'default')
    .option('--hypervisor <name>', 'kvm, or fake: guests that are none', 'kvm')
    .option('--master-ip <address>', 'address that the leader holds', '10.77.0.100')
    .option('--no-init', 'hosts only, no cluster')
    .option('--no-namespaces', 'loopback addresses even as root')
    .action(wrap((session, options: UpOptions) => up(session, options)));
  addDir(lab.command('down'))
    .description('end everything and remove every trace')
    .action(
      wrap(async (session, options: DirOptions) => {
        const dir = dirOf(session, options);
        const found = await labDown({ dir, log: (line) => session.terminal.err(`${line}\n`) });
        session.print(found ? 'The lab is gone.' : `There is no lab in ${dir}.`);
      }),
    );
  addDir(lab.command('status'))
    .description('hosts, their processes and their part in the cluster')
    .action(
      wrap(async (session, options: DirOptions) => {
        await printLabStatus(session, openLab(dirOf(session, options)));
      }),
    );
  addDir(lab.command('power'))
    .description('off: every process of the host ends at once; on: it boots; cycle: both')
    .argument('<labnode>')
    .argument('<on|off|cycle>')
    .action(
      wrap(async (session, name: string, word: string, options: DirOptions) => {
        const target = openLab(dirOf(session, options));
        const what = oneOf(word, 'power', ['on', 'off', 'cycle']);
        if (what !== 'on') await labPowerOff(target, name);
        if (what !== 'off') await labPowerOn(target, name);
        session.print(`${name} is ${what === 'off' ? 'off' : 'on'}.`);
      }),
    );
  addDir(lab.command('cut'))
    .description('pull the host’s cable')
    .argument('<labnode>')
    .option('--one-way <in|out>', 'in: nothing reaches it; out: nothing it sends arrives')
    .action(
      onHost<DirOptions & { readonly oneWay?: string }>(wrap, async (target, name, options) => {
        const cut = options.oneWay === undefined ? 'both' : oneOf(options.oneWay, '--one-way', ['in', 'out']);
        await labCut(target, name, cut);
        return cut === 'both' ? `${name} is cut off.` : `${name} is cut off, ${cut} only.`;
      }),
    );
  addDir(lab.command('heal'))
    .description('undo cut')
    .argument('<labnode>')
    .action(
      onHost<DirOptions>(wrap, async (target, name) => {
        await labHeal(target, name);
        return `${name} is connected.`;
      }),
    );
  addDir(lab.command('freeze'))
    .description('stop every process of the host')
    .argument('<labnode>')
    .action(
      onHost<DirOptions>(wrap, (target, name) => `${name} is frozen (${labFreeze(target, name)} processes).`),
    );
  addDir(lab.command('thaw'))
    .description('let them go on')
    .argument('<labnode>')
    .action(
      onHost<DirOptions>(wrap, (target, name) => `${name} goes on (${labThaw(target, name)} processes).`),
    );
  addDir(describeTorture(lab.command('torture'))).action(
    wrap((session, options: TortureCommandOptions & DirOptions) =>
      torture(session, openLab(dirOf(session, options)), options),
    ),
  );
  addDir(lab.command('exec'))
    .description('run a command on a host, or on `client`')
    .argument('<labnode>')
    .argument('<command...>')
    .action(
      wrap(async (session, name: string, argv: string[], options: DirOptions) =>
        execute(openLab(dirOf(session, options)), name, argv),
      ),
    );
  addDir(lab.command('logs'))
    .description('what keeper and agent of a host wrote')
    .argument('<labnode>')
    .option('-f, --follow', 'and what they will write, until Ctrl-C')
    .option('--lines <n>', 'how many lines', '50')
    .action(
      wrap(async (session, name: string, options: LogOptions) => {
        await logs(session, name, options);
        return exit_status.ok;
      }),
    );
};
