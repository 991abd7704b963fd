/**
 * `skein cluster recover`: a new generation of a cluster that lost the majority of its voters for good. Says what is
 * known of the loss and what may come of it, and goes on only when the cluster's name was typed.
 */
import type { Command } from 'commander';
import { ApiCallError } from '../src/node/api-client.ts';
import type { AgentStatus, RecoverLook } from '../src/node/api-types.ts';
import { CliError, exit_status } from './exit-status.ts';
import type { Wrap } from './register.ts';
import type { Session } from './session.ts';

interface RecoverOptions {
  readonly follow?: boolean;
  readonly off?: string;
  readonly yesILoseWhatOnlyTheyKnew?: string;
}

const look_timeout_ms = 15_000;
/** Copying log and state may take as long as they are large. */
const recover_timeout_ms = 600_000;
const back_timeout_ms = 60_000;
const back_pause_ms = 250;

function when(time_s: number): string {
  return new Date(time_s * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
}

function list(names: readonly (string | number)[], most = 10): string {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}

/** Everything an operator must know before, one paragraph a question. */
export function recoverReport(look: RecoverLook, off: readonly string[]): readonly string[] {
  const { last, nodes } = look;
  const silent = nodes.filter((node) => !node.answers);
  const lost = silent.filter((node) => node.voter).map((node) => node.name);
  const survivors = nodes.slice(1).filter((node) => node.answers);
  const there = look.instances.filter((one) => silent.some((node) => node.name === one.node));
  const here = look.instances.filter((one) => one.node === look.name && one.guarded);
  const since = last.time === null ? '' : `, of ${when(last.time)}`;
  return [
    `Cluster ${look.cluster_name} has no majority. Recovering it on ${look.name} makes ${look.name} the only voter of a new generation.`,
    '',
    'Silent:',
    ...silent.map(
      ({ name, voter, silent_since }) =>
        `  ${name}${voter ? ', a voter' : ''}, ${silent_since === null ? 'not heard since this agent started' : `since ${when(silent_since)}`}`,
    ),
    `Here: the log ends at entry ${last.index} of term ${last.term}${since}; known to be committed: to ${look.commit}.`,
    survivors.length === 0
      ? 'No other node answers.'
      : `Of those that answer none has more: ${list(survivors.map((node) => `${node.name} (to entry ${node.last_index ?? '?'})`))}.`,
    '',
    `Lost for good: what only ${list(lost)} had${last.time === null ? '' : `, decided after ${when(last.time)}`}: jobs, guests moved, nodes that joined.`,
    'What this host has without knowing that it was decided, counts from now on.',
    look.jobs.length === 0
      ? 'No job is open.'
      : `Jobs not ended, which go on: ${list(look.jobs)}. Their steps on silent nodes wait until those are seen again or off.`,
    `Guests: nothing is started in place of a silent node until it follows, or is off: by out-of-band power, or your word${off.length === 0 ? ' (--off NODE,…)' : ''}.`,
    ...(there.length === 0
      ? []
      : [`  on silent nodes: ${list(there.map(({ name, node }) => `${name} on ${node}`))}`]),
    ...(off.length === 0 ? [] : [`  You say that these are off, and stay so until they left: ${list(off)}`]),
    ...(here.length === 0
      ? []
      : [
          `  ${list(here.map(({ name }) => name))} will run here. If ${list(lost)} still run, they may run these too: power them off first.`,
        ]),
    '',
    `${list(lost)} may be a majority of the old generation. While they run where ${look.name} is not heard, they act as before: lead, hold`,
    "the master IP, fail over this host's guests. As soon as one of them hears of the new generation it lays all that down;",
    'its protected guests end. It comes back by skein node leave --force and skein join, or by skein cluster recover --follow.',
    ...(survivors.length === 0
      ? []
      : [`Then, on ${list(survivors.map((node) => node.name))}: skein cluster recover --follow`]),
  ];
}

async function typedName(session: Session, given: string | undefined, what: string): Promise<string> {
  if (given !== undefined) return given;
  const { terminal } = session;
  if (!terminal.stdin_is_tty) {
    throw new CliError(
      'not done: there is no terminal to ask on',
      'the same with --yes-i-lose-what-only-they-knew CLUSTER',
      exit_status.declined,
    );
  }
  terminal.err(`${what}\nThe name of the cluster, to go on: `);
  const { createInterface } = await import('node:readline');
  const lines = createInterface({ input: terminal.stdin, terminal: false });
  const answer = await new Promise<string>((resolve) => {
    const undo = terminal.onInterrupt(() => lines.close());
    lines.once('line', (line) => {
      resolve(line.trim());
      lines.close();
    });
    lines.once('close', () => {
      undo();
      resolve('');
    });
  });
  if (answer === '')
    throw new CliError('declined: nothing was changed', 'the same again', exit_status.declined);
  return answer;
}

/** Asks the agent, which starts anew, until it is as wanted; null: not within a minute. */
async function back(session: Session, wanted: (status: AgentStatus) => boolean): Promise<AgentStatus | null> {
  const end_ms = Date.now() + back_timeout_ms;
  while (Date.now() < end_ms) {
    await session.disconnect();
    try {
      const status = await session.call('status', {}, { timeout_ms: look_timeout_ms });
      if (wanted(status)) return status;
    } catch (error) {
      if (!(error instanceof ApiCallError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, back_pause_ms));
  }
  return null;
}

async function recover(session: Session, options: RecoverOptions): Promise<void> {
  const off = (options.off ?? '').split(',').filter((name) => name !== '');
  const look = await session.call('recover.look', {}, { timeout_ms: look_timeout_ms });
  const later = off.filter((name) => look.unseen.some((one) => one.name === name));
  if (look.refusal !== null && off.length > 0 && later.length === off.length) return word(session, off);
  if (look.refusal !== null) throw new CliError(`not done: ${look.refusal}`, look.next);
  for (const line of recoverReport(look, off)) session.terminal.err(`${line}\n`);
  const cluster_name = await typedName(session, options.yesILoseWhatOnlyTheyKnew, '');
  const done = await session.call(
    'cluster.recover',
    { cluster_name, off },
    { timeout_ms: recover_timeout_ms },
  );
  const status = await back(session, ({ role, established }) => role === 'leader' && established);
  if (status === null)
    throw new CliError('the recovery was begun, and this host does not lead yet', 'skein status');
  if (session.globals.json) session.printJson(done);
  else session.print(`${status.name} leads cluster ${cluster_name} again. The old log is in ${done.copy}.`);
}

/** After a recovery: the same word as `--off` in it. */
async function word(session: Session, off: readonly string[]): Promise<void> {
  for (const node of off) await session.call('recover.word', { node });
  if (session.globals.json) session.printJson({ off });
  else session.print(`${list(off)}: taken to be off.`);
}

async function follow(session: Session, options: RecoverOptions): Promise<void> {
  const { warnings } = await session.call('status', {}, { timeout_ms: look_timeout_ms });
  const what = `${warnings.join('\n')}\nThis host gives up its own log and state (a copy is kept) and takes those of the recovered cluster.`;
  const cluster_name = await typedName(session, options.yesILoseWhatOnlyTheyKnew, what);
  const done = await session.call('cluster.follow', { cluster_name }, { timeout_ms: recover_timeout_ms });
  const status = await back(session, ({ leader }) => leader !== '');
  if (status === null)
    throw new CliError(
      `this host waits for the log of ${done.recovered_by}`,
      `skein status here and on ${done.recovered_by}; is this host still in skein node list there?`,
    );
  if (session.globals.json) session.printJson(done);
  else session.print(`${status.name} follows ${status.leader}. The old log is in ${done.copy}.`);
}

export function registerRecover(cluster: Command, wrap: Wrap): void {
  cluster
    .command('recover')
    .description('go on without a majority that is lost for good; on the survivor that knows most')
    .option('--off <nodes>', 'a,b: these are powered off and stay so; their guests may be started elsewhere')
    .option('--follow', 'on another survivor, afterwards: come along')
    .option('--yes-i-lose-what-only-they-knew <cluster>', 'do not ask; the name of the cluster')
    .action(
      wrap((session, options: RecoverOptions) =>
        options.follow ? follow(session, options) : recover(session, options),
      ),
    );
}
