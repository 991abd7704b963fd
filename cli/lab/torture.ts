/**
 * `skein lab torture`: clients change and read registers on all nodes of a running lab while its hosts are hurt; then all
 * is healed, everything is read, and what the clients saw is judged. Signals only processes of the lab, undoes every fault it
 * began, also when interrupted, and removes the registers; on a breach they stay, to be looked at.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Command } from 'commander';
import { exit_status } from '../exit-status.ts';
import { parseWhole } from '../key-values.ts';
import type { Session } from '../session.ts';
import type { Lab, LabLog } from './lab.ts';
import { in_flight, type RunContext, readSurely, runClient } from './torture/clients.ts';
import {
  type Fault,
  type FaultKind,
  faultKinds,
  healAll,
  hurt,
  type Pause,
  untilAllAgree,
} from './torture/nemesis.ts';
import { formatRecord, type HistoryRecord, judgeFile } from './torture/oracle.ts';
import { initial_value, makeRegisters, type Register, removeRegisters } from './torture/registers.ts';
import { isBreach, reportLines, type TortureReport } from './torture/report.ts';
import { Tally } from './torture/tally.ts';

export type { TortureReport } from './torture/report.ts';

export interface TortureOptions {
  readonly seconds: number;
  /** Where the history goes; what is there is overwritten. */
  readonly history: string;
  /** Default 16. */
  readonly clients?: number;
  readonly seed?: number;
  readonly faults?: boolean;
  /** Ends the run early; what was done until then is judged. */
  readonly signal?: AbortSignal;
  readonly log?: LabLog;
}

const register_count = 32;
const default_clients = 16;
/** A run that lasts longer gives the lab more rest between faults: elections would be most of it. */
const most_dense_s = 120;
const long_run_calm = 5;
const flush_chars = 65_536;

/** mulberry32: chance of a run, which a seed repeats as far as the machine's own timing lets it. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

const nowUs = (): number => Math.round(performance.now() * 1000);

/** Waits, unless the run ends first. */
function pauseUntil(signal: AbortSignal): Pause {
  return (ms) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
    });
}

/** The file of a history; written in pieces, without waiting: a disk that cannot keep up slows the clients. */
class HistoryFile {
  readonly #file: number;
  #text = '';

  constructor(path: string) {
    this.#file = openSync(path, 'w', 0o644);
  }

  add(record: HistoryRecord): void {
    this.#text += formatRecord(record);
    if (this.#text.length >= flush_chars) this.#flush();
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    writeSync(this.#file, this.#text);
    this.#text = '';
  }
}

interface Run {
  readonly lab: Lab;
  readonly options: TortureOptions;
  readonly seed: number;
  readonly registers: readonly Register[];
  readonly tally: Tally;
  readonly faults: Partial<Record<FaultKind, number>>;
}

/** Clients and faults until the time is over; then all healed, all agreed and everything read once more everywhere. */
async function runAll(
  run: Run,
  file: HistoryFile,
): Promise<{ readonly state: string; readonly seconds: number }> {
  const { lab, options, registers, tally, faults } = run;
  const stop = new AbortController();
  const ended = (): boolean => stop.signal.aborted;
  const pause = pauseUntil(stop.signal);
  const clients = options.clients ?? default_clients;
  const start_us = nowUs();
  let counting = true;
  let last_value = initial_value;
  let last_client = 0;
  const context: RunContext = {
    ...{ nodes: lab.nodes, registers, random: seeded(run.seed), now_us: nowUs, pause, ended },
    record: (record) => {
      if (counting) tally.add(record);
      file.add(record);
    },
    onError: (code) => tally.error(code),
    nextValue: () => ++last_value,
    nextClient: () => ++last_client,
    seen: new Map(),
  };
  const timer = setTimeout(() => stop.abort(), options.seconds * 1000);
  const end = (): void => stop.abort();
  options.signal?.addEventListener('abort', end);
  if (options.signal?.aborted) end();
  // One that fails ends the others.
  const until = (work: Promise<void>): Promise<void> => work.finally(end);
  const nemesis = {
    random: seeded(run.seed ^ 0x5bd1e995),
    ...{ pause, ended, calm: options.seconds > most_dense_s ? long_run_calm : 1 },
    onFault: ({ kind, node }: Fault) => {
      faults[kind] = (faults[kind] ?? 0) + 1;
      options.log?.(`${kind} ${node}`);
    },
  };
  const work = Array.from({ length: clients }, (_, at) => until(runClient(context, at)));
  if (options.faults !== false) work.push(until(hurt(lab, nemesis)));
  const results = await Promise.allSettled(work);
  clearTimeout(timer);
  options.signal?.removeEventListener('abort', end);
  const seconds = (nowUs() - start_us) / 1_000_000;
  tally.end(nowUs());
  counting = false;
  await healAll(lab);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  const state = await untilAllAgree(lab);
  for (const node of lab.nodes)
    await Promise.all(registers.map((register) => readSurely(context, node, register)));
  return { state, seconds };
}

/** @throws CliError when the lab is not fit for it or does not recover; a breach is in the report. */
export async function tortureLab(lab: Lab, options: TortureOptions): Promise<TortureReport> {
  const seed = options.seed ?? 1;
  const log = options.log ?? (() => undefined);
  await untilAllAgree(lab);
  log(`making ${register_count} instances that never run, two registers each`);
  const registers = await makeRegisters(lab, register_count);
  if (options.faults !== false && !lab.record.namespaces)
    log('no root, no namespaces: links are not cut; processes are killed and stopped');
  const file = new HistoryFile(options.history);
  const run: Run = { lab, options, seed, registers, tally: new Tally(nowUs()), faults: {} };
  if (options.faults !== false) for (const kind of faultKinds(lab)) run.faults[kind] = 0;
  let end: { readonly state: string; readonly seconds: number };
  try {
    end = await runAll(run, file);
  } finally {
    file.close();
  }
  log('judging the history');
  const verdict = await judgeFile(options.history, initial_value);
  const summary = run.tally.summary();
  const report: TortureReport = {
    ...summary,
    ...end,
    ...{ seed, clients: options.clients ?? default_clients, faults: run.faults },
    acknowledged_per_second: Math.round(summary.acknowledged / end.seconds),
    lost: verdict.lost.length,
    judged: verdict.operations,
    linearizable: verdict.linearizable,
    history: options.history,
  };
  if (!isBreach(report)) await removeRegisters(lab, registers);
  return report;
}

export interface TortureCommandOptions {
  readonly seconds: string;
  readonly history: string;
  readonly clients: string;
  readonly seed: string;
  readonly faults: boolean;
}

/** The command on an open lab; its exit status: 1 on a breach. */
export async function torture(session: Session, lab: Lab, options: TortureCommandOptions): Promise<number> {
  const { terminal } = session;
  const stop = new AbortController();
  const undo = terminal.onInterrupt(() => stop.abort());
  try {
    const report = await tortureLab(lab, {
      seconds: parseWhole(options.seconds, '--seconds', 1),
      history: options.history,
      clients: parseWhole(options.clients, '--clients', 1),
      seed: parseWhole(options.seed, '--seed'),
      faults: options.faults,
      signal: stop.signal,
      log: (line) => terminal.err(`${line}\n`),
    });
    if (session.globals.json) session.printJson(report);
    else session.printLines(reportLines(report));
    return isBreach(report) ? exit_status.failure : exit_status.ok;
  } finally {
    undo();
  }
}

/** Describes the command, all but where the lab is. */
export function describeTorture(command: Command): Command {
  return command
    .description('hurt a running lab while clients use it, and judge what they saw')
    .requiredOption('--seconds <n>', 'how long')
    .requiredOption('--history <file>', 'where every operation is written, as JSON lines')
    .option('--clients <n>', `clients, of ${in_flight} operations at a time each`, String(default_clients))
    .option('--seed <n>', 'of all chance', '1')
    .option('--no-faults', 'clients only');
}
