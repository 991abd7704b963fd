/**
 * The processes that the keeper is the parent of. Guarantees: one process a name; nothing protected is started without
 * a live lease; `kill` answers only when the kernel shows that nothing of it executes any more; every start is in the
 * table before anything else can happen, so that the fence sees it.
 */
import { type ChildProcess, spawn as spawnChild } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { KeptProcess, ProcessSpec } from '../../drivers/types.ts';
import type { FenceProcess } from './fence-action.ts';
import * as group from './freezer.ts';
import { findSetpriv, isLaunched, launchArguments } from './launch.ts';
import { procStat } from './proc-stat.ts';

export interface ProcessExit {
  readonly name: string;
  readonly tag: string;
  readonly code: number | null;
  readonly signal: string | null;
  readonly log_tail: string;
}

interface Entry {
  readonly spec: ProcessSpec;
  readonly child: ChildProcess;
  readonly group: group.FreezerGroup;
  readonly ready: Promise<{ readonly pid: number }>;
  paused_proven: boolean;
  frozen: boolean;
  dying: boolean;
  ended: { readonly code: number | null; readonly signal: string | null } | null;
}

export interface ProcessTableOptions {
  readonly freezer: group.Freezer;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Asked at the very moment of a start: why nothing protected may be started now; '' when it may. */
  readonly refusal: () => string;
  readonly onExit: (exit: ProcessExit) => void;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
}

/** Far above any host's guests; a loop of starts must not take the host down. */
export const max_processes = 1024;
const launch_timeout_ms = 10_000;
const log_tail_bytes = 2048;
const inherited = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'XDG_RUNTIME_DIR'];

export class ProcessTable {
  readonly #options: ProcessTableOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: ProcessTableOptions) {
    this.#options = options;
  }

  /** @throws Error in words for a person: taken name, no lease, no setpriv, or what exec said. */
  spawn(spec: ProcessSpec): Promise<{ readonly pid: number }> {
    const present = this.#entries.get(spec.name);
    if (present !== undefined) {
      if (present.spec.tag === spec.tag && !present.dying) return present.ready;
      const state = present.dying ? 'is still ending' : 'runs';
      return Promise.reject(
        new Error(`${spec.name} ${state} with tag '${present.spec.tag}', wanted '${spec.tag}'`),
      );
    }
    const refusal = this.#refusal(spec);
    if (refusal !== '') return Promise.reject(new Error(refusal));
    try {
      return this.#launch(spec);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #refusal(spec: ProcessSpec): string {
    if (this.#entries.size >= max_processes)
      return `${max_processes} processes run already: the most a keeper takes`;
    if (spec.argv.length === 0) return `${spec.name} has an empty command`;
    return spec.protected ? this.#options.refusal() : '';
  }

  #launch(spec: ProcessSpec): Promise<{ readonly pid: number }> {
    const setpriv = findSetpriv(this.#options.env.PATH);
    if (setpriv === null) {
      throw new Error(
        `${spec.name} cannot be tied to the keeper's life without the program setpriv: install util-linux`,
      );
    }
    const env: Record<string, string> = {};
    for (const key of inherited) {
      const value = this.#options.env[key];
      if (value !== undefined) env[key] = value;
    }
    const log_fd = openSync(spec.log_file, 'w', 0o600);
    const freezer_group = group.createGroup(this.#options.freezer, spec.name);
    let child: ChildProcess;
    try {
      child = spawnChild(setpriv, launchArguments(process.pid, freezer_group.dir, spec.argv), {
        cwd: spec.cwd,
        env: { ...env, ...spec.env },
        detached: true,
        stdio: ['ignore', log_fd, log_fd],
      });
    } finally {
      closeSync(log_fd);
    }
    const { pid } = child;
    if (pid === undefined) {
      group.removeGroup(freezer_group);
      return new Promise((_, reject) =>
        child.once('error', (error) => reject(new Error(`${spec.name}: ${error.message}`))),
      );
    }
    freezer_group.leader = { pid, start_ticks: procStat(pid)?.start_ticks ?? 0 };
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const ready = this.#launched(spec, pid, exited);
    const entry: Entry = {
      spec,
      child,
      group: freezer_group,
      ready,
      paused_proven: false,
      frozen: false,
      dying: false,
      ended: null,
    };
    this.#entries.set(spec.name, entry);
    child.once('exit', (code, signal) => this.#ended(entry, code, signal));
    child.on('error', (error) =>
      this.#options.log('process error', { name: spec.name, error: error.message }),
    );
    return ready;
  }

  /** Resolves when exec has succeeded. Polls: a start takes a few milliseconds, and there is nothing to be told by. */
  async #launched(spec: ProcessSpec, pid: number, exited: Promise<void>): Promise<{ readonly pid: number }> {
    let over = false;
    void exited.then(() => {
      over = true;
    });
    let waited_ms = 0;
    for (let step_ms = 1; !isLaunched(pid); step_ms = Math.min(step_ms * 2, 50)) {
      if (over) {
        const entry = this.#entries.get(spec.name);
        const how = entry?.ended ?? null;
        throw new Error(
          `${spec.name} could not be started (${how?.signal ?? `status ${how?.code ?? 'unknown'}`}): ${readTail(spec.log_file)}`,
        );
      }
      if (waited_ms > launch_timeout_ms) {
        const entry = this.#entries.get(spec.name);
        if (entry?.child.pid === pid) this.#kill(entry);
        throw new Error(`${spec.name} did not reach its exec within ${launch_timeout_ms} ms`);
      }
      await new Promise((resolve) => setTimeout(resolve, step_ms));
      waited_ms += step_ms;
    }
    return { pid };
  }

  /** SIGKILL; resolves when nothing of it executes any more. */
  async kill(name: string, timeout_ms: number): Promise<void> {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#kill(entry);
    let waited_ms = 0;
    for (let step_ms = 2; this.#entries.get(name) === entry; step_ms = Math.min(step_ms * 2, 100)) {
      if (waited_ms >= timeout_ms) {
        const state = procStat(entry.child.pid ?? 0)?.state ?? 'gone';
        throw new Error(
          `${name} was sent SIGKILL ${timeout_ms} ms ago and is not gone (state ${state}; D waits for a device)`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, step_ms));
      waited_ms += step_ms;
    }
  }

  list(): readonly KeptProcess[] {
    return [...this.#entries.values()].map((entry) => ({
      name: entry.spec.name,
      tag: entry.spec.tag,
      pid: entry.child.pid ?? 0,
      protected: entry.spec.protected,
      frozen: entry.frozen,
    }));
  }

  /** What the fence decides over: those already sent SIGKILL are past deciding. */
  fenceView(): readonly FenceProcess[] {
    return [...this.#entries.values()]
      .filter((entry) => !entry.dying)
      .map((entry) => ({
        name: entry.spec.name,
        protected: entry.spec.protected,
        paused_proven: entry.paused_proven,
        frozen: entry.frozen,
      }));
  }

  setPaused(name: string, proven: boolean): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) entry.paused_proven = proven;
  }

  /** Synchronous, for the fence: the signal is sent when it returns. */
  killNow(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#kill(entry);
  }

  /** What cannot even be asked to freeze is killed; false then. */
  freezeNow(name: string): boolean {
    const entry = this.#entries.get(name);
    if (entry === undefined) return false;
    try {
      group.freezeGroup(entry.group);
      entry.frozen = true;
      return true;
    } catch (error) {
      this.#options.log('could not be frozen, is killed', { name, error: (error as Error).message });
      this.#kill(entry);
      return false;
    }
  }

  /** Whether the kernel confirms it; of one that is gone or dying there is nothing left to prove. */
  isProvenFrozen(name: string): boolean {
    const entry = this.#entries.get(name);
    return entry === undefined || entry.dying || !entry.frozen || group.isGroupFrozen(entry.group);
  }

  thawNow(name: string): boolean {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.dying) return false;
    try {
      group.thawGroup(entry.group);
      entry.frozen = false;
      return true;
    } catch (error) {
      this.#options.log('could not be thawed', { name, error: (error as Error).message });
      return false;
    }
  }

  #kill(entry: Entry): void {
    entry.dying = true;
    try {
      group.killGroup(entry.group);
    } catch (error) {
      this.#options.log('group could not be killed, its leader is', {
        name: entry.spec.name,
        error: (error as Error).message,
      });
      entry.child.kill('SIGKILL');
    }
  }

  #ended(entry: Entry, code: number | null, signal: string | null): void {
    entry.ended = { code, signal };
    this.#kill(entry); // what its leader left behind in the group
    void this.#bury(entry);
  }

  async #bury(entry: Entry): Promise<void> {
    for (let step_ms = 1; !group.isGroupGone(entry.group) || !group.removeGroup(entry.group); ) {
      await new Promise((resolve) => setTimeout(resolve, step_ms));
      step_ms = Math.min(step_ms * 2, 1000);
    }
    this.#entries.delete(entry.spec.name);
    const { name, tag, log_file } = entry.spec;
    const how = entry.ended ?? { code: null, signal: null };
    this.#options.onExit({ name, tag, code: how.code, signal: how.signal, log_tail: readTail(log_file) });
  }
}

/** The last lines of a log; the reason it cannot be read when that is so. */
function readTail(path: string): string {
  try {
    const fd = openSync(path, 'r');
    try {
      const { size } = fstatSync(fd);
      const buffer = Buffer.alloc(Math.min(size, log_tail_bytes));
      const read = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString('utf8', 0, read).trim();
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return `(no log: ${(error as Error).message})`;
  }
}
