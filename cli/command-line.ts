/**
 * Runs a command line: registers only the group of commands that is asked for (start-up time is part of every
 * command), and turns every error into one line what was wrong, one line what to try, and an exit status.
 */
import { Command, CommanderError } from 'commander';
import { ApiCallError } from '../src/node/api-client.ts';
import { adviceOfCode, CliError, exit_status, exitOfCode } from './exit-status.ts';
import type { Action, Register, Wrap } from './register.ts';
import { type GlobalOptions, Session } from './session.ts';
import type { Terminal } from './terminal.ts';

interface Group {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Register>;
}

/** Every first word, with how to load its commands. */
export const groups: readonly Group[] = [
  {
    name: 'instance',
    summary: 'virtual machines',
    load: async () => (await import('./instance.ts')).register,
  },
  { name: 'node', summary: 'hosts of the cluster', load: async () => (await import('./node.ts')).register },
  {
    name: 'job',
    summary: 'what was asked for and what became of it',
    load: async () => (await import('./job.ts')).register,
  },
  {
    name: 'cluster',
    summary: 'the cluster as a whole',
    load: async () => (await import('./cluster.ts')).register,
  },
  { name: 'group', summary: 'node groups', load: async () => (await import('./group.ts')).register },
  {
    name: 'tag',
    summary: 'tags of the cluster, groups, nodes and instances',
    load: async () => (await import('./tag.ts')).register,
  },
  {
    name: 'maintenance',
    summary: 'reboot hosts group after group',
    load: async () => (await import('./maintenance.ts')).register,
  },
  { name: 'os', summary: 'OS definitions', load: async () => (await import('./os.ts')).register },
  {
    name: 'join',
    summary: 'make this host a member, with a token from `skein node add`',
    load: async () => (await import('./join.ts')).register,
  },
  {
    name: 'status',
    summary: 'this host’s agent: role, leader, lease, guests',
    load: async () => (await import('./status.ts')).register,
  },
  {
    name: 'watch',
    summary: 'events of the cluster as they happen',
    load: async () => (await import('./watch.ts')).register,
  },
  {
    name: 'list',
    summary: 'short for `instance list`',
    load: async () => (await import('./instance.ts')).registerShortList,
  },
  { name: 'raft', summary: 'the consensus group', load: async () => (await import('./raft.ts')).register },
  {
    name: 'lab',
    summary: 'a cluster of several agents on this one machine, to try and to hurt',
    load: async () => (await import('./lab/command.ts')).register,
  },
  {
    name: 'sim',
    summary: 'a simulated cluster in virtual time, with faults',
    load: async () => (await import('./sim.ts')).register,
  },
  {
    name: 'htools',
    summary: 'hbal, hail, hspace, hroller, hcheck, hinfo: Ganeti’s placement tools',
    load: async () => (await import('./htools.ts')).register,
  },
  {
    name: 'completion',
    summary: 'shell completion: bash, zsh or fish',
    load: async () => (await import('./completion.ts')).register,
  },
  { name: '__complete', summary: '', load: async () => (await import('./complete.ts')).register },
];

/** Options of every command that take a value. */
const valued_globals = new Set(['--socket', '-N', '--on']);

/** The words that are no options and, as far as the global options go, no values of them. */
function words(argv: readonly string[]): readonly string[] {
  return argv.filter((word, at) => !word.startsWith('-') && !valued_globals.has(argv[at - 1] ?? ''));
}

/** The first word that is no global option. */
export function firstWord(argv: readonly string[]): string | null {
  return words(argv)[0] ?? null;
}

/** A program with the global options and no commands. */
export function createProgram(terminal: Terminal): Command {
  return new Command('skein')
    .description('Manages virtual machines on any number of hosts, without a master.')
    .option(
      '--socket <path>',
      'the agent’s socket (default: SKEIN_SOCKET, /run/skein/api.sock, or the lab’s here)',
    )
    .option('-N, --on <node>', 'ask this node of the lab')
    .option('--json', 'print JSON')
    .helpCommand(false)
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      outputError: () => undefined,
      getOutHelpWidth: () => terminal.columns,
      getErrHelpWidth: () => terminal.columns,
    });
}

/** Registers the groups named, all others as names only. `all` for completion. */
export async function registerGroups(
  program: Command,
  wrap: Wrap,
  word: string | null | 'all',
  asked: string | null = null,
): Promise<void> {
  const loaded = new Set<Register>();
  for (const group of groups) {
    if (word === 'all' || group.name === word) {
      const register = await group.load();
      if (!loaded.has(register)) register(program, wrap, asked);
      loaded.add(register);
    } else if (word === null || !groups.some((known) => known.name === word)) {
      program.command(group.name, { hidden: group.name.startsWith('__') }).description(group.summary);
    }
  }
}

function report(terminal: Terminal, message: string, next: string): void {
  terminal.err(`skein: ${message}\n${next === '' ? '' : `Try: ${next}\n`}`);
}

function commandPath(command: Command): string {
  return command.parent ? `${commandPath(command.parent)} ${command.name()}` : command.name();
}

/** Runs `argv` (without node and script). Resolves with the exit status; never rejects for anything but a defect. */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  const program = createProgram(terminal);
  let status: number = exit_status.ok;
  const wrap: Wrap =
    <A extends readonly unknown[]>(action: Action<A>) =>
    async (...args: unknown[]) => {
      const session = new Session(terminal, program.opts<GlobalOptions>());
      try {
        const result = await action(session, ...(args as unknown as A));
        status = typeof result === 'number' ? result : exit_status.ok;
      } finally {
        await session.disconnect();
      }
    };
  try {
    const word = firstWord(argv);
    await registerGroups(program, wrap, word, words(argv)[1] ?? null);
    if (word === null && !argv.some((arg) => arg === '-h' || arg === '--help')) {
      terminal.err(program.helpInformation());
      return exit_status.usage;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return status;
  } catch (error) {
    return exitOf(error, terminal, program);
  }
}

function exitOf(error: unknown, terminal: Terminal, program: Command): number {
  if (error instanceof CliError) {
    report(terminal, error.message, error.next);
    return error.exit;
  }
  if (error instanceof ApiCallError) {
    report(terminal, error.message, error.next === '' ? adviceOfCode(error.code) : error.next);
    return exitOfCode(error.code);
  }
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return exit_status.ok;
    // Help printed because a group was given without a command.
    if (error.code === 'commander.help') return exit_status.usage;
    report(
      terminal,
      error.message.replace(/^error: /, ''),
      `${commandPath(program)} --help, or COMMAND --help`,
    );
    return exit_status.usage;
  }
  throw error;
}
