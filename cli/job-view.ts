/**
 * The live view of a job: its log lines as they come, and on a terminal one status line below them with the step, a
 * bar and the time left. Ctrl-C detaches: the job goes on.
 */

import type { Job } from '../src/config/model.ts';
import { ApiCallError } from '../src/node/api-client.ts';
import type { JobEvent } from '../src/node/api-types.ts';
import { CliError, type ExitStatus, exit_status } from './exit-status.ts';
import { isFinal, jobSummary, logText, opAdvice, opError } from './job-text.ts';
import { retry_pauses_ms, type Session } from './session.ts';
import type { Terminal } from './terminal.ts';

type Progress = Extract<JobEvent, { type: 'progress' }>;

/** `[#####.....]  50 %  12 s left`; without a total only the text. */
export function progressText(progress: Progress, columns: number): string {
  const { step, text, done, total, eta_s } = progress;
  let line = text === '' || text === step ? step : `${step}: ${text}`;
  if (done !== null && total !== null && total > 0) {
    const share = Math.min(1, Math.max(0, done / total));
    const filled = Math.round(share * 20);
    line += ` [${'#'.repeat(filled)}${'.'.repeat(20 - filled)}] ${String(Math.floor(share * 100)).padStart(3)} %`;
  }
  if (eta_s !== null) line += `, ${Math.ceil(eta_s)} s left`;
  const clean = line.replaceAll(/[\u0000-\u001f\u007f]/g, ' ');
  return clean.length < columns ? clean : `${clean.slice(0, columns - 2)}…`;
}

/** Prints what is new in each event; keeps one status line at the bottom of a terminal. */
export class JobView {
  private readonly terminal: Terminal;
  private readonly live: boolean;
  private readonly show_log: boolean;
  private readonly seen = new Map<number, number>();
  private status: string | null = null;
  private shown = '';

  constructor(terminal: Terminal, show_log = true) {
    this.terminal = terminal;
    this.show_log = show_log;
    this.live = terminal.err_is_tty;
  }

  event(event: JobEvent): void {
    if (event.type === 'progress') {
      if (this.live) this.setShown(progressText(event, this.terminal.columns));
      return;
    }
    this.job(event.job);
  }

  /** New log lines, and the state when it changed. */
  job(job: Job): void {
    for (const [at, op] of this.show_log ? job.ops.entries() : []) {
      const last = this.seen.get(at) ?? 0;
      for (const [serial, [seconds], kind, text] of op.log) {
        if (serial <= last) continue;
        this.seen.set(at, serial);
        const time = new Date(seconds * 1000).toISOString().slice(11, 19);
        this.line(`${time} ${kind === 'warning' ? 'WARNING: ' : ''}${logText(text)}`);
      }
    }
    if (job.status === this.status) return;
    this.status = job.status;
    if (this.live && !isFinal(job.status)) this.setShown(`job ${job.id} ${job.status}: ${jobSummary(job)}`);
  }

  /** A line above the status line. */
  line(text: string): void {
    const shown = this.shown;
    this.setShown('');
    this.terminal.err(`${text}\n`);
    this.setShown(shown);
  }

  /** Removes the status line. */
  end(): void {
    this.setShown('');
  }

  private setShown(text: string): void {
    if (!this.live || text === this.shown) return;
    this.terminal.err(`\r\u001b[K${text}`);
    this.shown = text;
  }
}

export type Watched = { readonly type: 'ended'; readonly job: Job } | { readonly type: 'detached' };

/** Follows a job to its end, over new connections when one breaks (bounded), or until Ctrl-C. `show_log`: its log lines too. */
export async function watchJob(session: Session, id: number, show_log = true): Promise<Watched> {
  const view = new JobView(session.terminal, show_log);
  const detached = Promise.withResolvers<Watched>();
  const state = { detached: false };
  const undo = session.terminal.onInterrupt(() => {
    state.detached = true;
    detached.resolve({ type: 'detached' });
  });
  try {
    return await Promise.race([followJob(session, id, view, state), detached.promise]);
  } finally {
    view.end();
    undo();
  }
}

/** Follows a job to its end, or until somebody sets `state.detached`, over new connections when one breaks (bounded). */
export async function followJob(
  session: Session,
  id: number,
  view: JobView,
  state: { detached: boolean },
): Promise<Watched> {
  for (let attempt = 0; ; attempt++) {
    try {
      const onEvent = (event: unknown): void => {
        if (state.detached) return;
        attempt = 0;
        view.event(event as JobEvent);
      };
      const job = await session.call('job.watch', { job: id }, { timeout_ms: null, onEvent });
      view.job(job);
      return { type: 'ended', job };
    } catch (error) {
      // After Ctrl-C the connection is ended by this side: no reason to look again.
      if (state.detached) return { type: 'detached' };
      const pause_ms = retry_pauses_ms[attempt];
      const lost =
        error instanceof ApiCallError &&
        (error.code === 'unknown-outcome' ||
          error.code === 'no-quorum' ||
          (error.code === 'unavailable' && attempt > 0));
      if (!lost) throw error;
      if (pause_ms === undefined) {
        throw new CliError(
          `lost sight of job ${id}: ${error.message}; it may go on`,
          `skein job watch ${id}`,
        );
      }
      view.line(`lost sight of job ${id} (${error.message}); looking again in ${pause_ms / 1000} s`);
      await session.disconnect();
      await new Promise((resolve) => setTimeout(resolve, pause_ms));
    }
  }
}

/** Prints how a job ended; its exit status. `quiet` says nothing of success. */
export function reportEnd(session: Session, job: Job, quiet: boolean): ExitStatus {
  if (job.status === 'success') {
    if (!quiet) session.terminal.err(`job ${job.id} ended well: ${jobSummary(job)}\n`);
    return exit_status.ok;
  }
  if (job.status === 'canceled') {
    session.terminal.err(
      `skein: job ${job.id} was canceled: ${jobSummary(job)}\nTry: skein job info ${job.id}\n`,
    );
    return exit_status.failure;
  }
  const failed = job.ops.find((op) => op.status === 'error');
  const why = (failed && opError(failed)) ?? 'no reason given';
  const advice = failed ? opAdvice(failed, job.id) : `skein job info ${job.id}`;
  session.terminal.err(`skein: job ${job.id} failed: ${why}\nTry: ${advice}\n`);
  return exit_status.failure;
}
