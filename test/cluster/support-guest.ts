/**
 * Looking at guests from outside: their processes and control groups on each host of a lab, polled, so that a test can
 * say when and where a copy of an instance could run (oracle O1 on real processes), and what its console says.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupDirs } from '../../cli/lab/layout.ts';
import { statOf } from '../../cli/lab/proc.ts';
import type { OpInput } from '../../src/config/model.ts';
import { connectApi } from '../../src/node/api-client.ts';
import { cliOk, commandLine, type Lab, patience_ms, waitUntil } from './support.ts';

/** The smallest real guest: counts on its console once a second, and on its disk before it says so. */
export function addGuest(
  lab: Lab,
  via: string,
  name: string,
  node: string,
  options: { readonly template?: string; readonly start?: boolean } = {},
): Promise<string> {
  const { template = 'sharedfile', start = true } = options;
  const disk = template === 'diskless' ? [] : ['--disk', '0:size=64m'];
  return cliOk(
    lab,
    via,
    [
      ...['instance', 'add', '-t', template, ...disk, '-o', 'skein-busybox+default'],
      ...['-B', 'memory=128m', '-n', node, ...(start ? [] : ['--no-start']), name],
    ],
    { timeout_ms: 3 * patience_ms },
  );
}

/** A guest of the fake hypervisor: an operation, for labs that have no real ones. */
export function fakeGuestOp(name: string, node: string): OpInput {
  return {
    OP_ID: 'OP_INSTANCE_CREATE',
    instance_name: name,
    mode: 'create',
    os_type: 'skein-busybox+default',
    no_install: true,
    disk_template: 'diskless',
    disks: [],
    nics: [],
    hypervisor: 'fake',
    pnode: node,
    start: true,
  };
}

export interface GuestProcess {
  readonly pid: number;
  readonly start_ticks: number;
  readonly node: string;
  /** Nothing of it executes: frozen by its control group, stopped by a signal, or dead. */
  readonly held: boolean;
}

/** QEMU processes of an instance, on whichever host of the lab. */
export function guestProcesses(lab: Lab, instance: string): readonly GuestProcess[] {
  const found: GuestProcess[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const pid = Number(entry);
    const words = commandLine(pid);
    if (!words[0]?.includes('qemu-system')) continue;
    if (!words.some((word) => word.startsWith(`guest=${instance},`) || word === `guest=${instance}`))
      continue;
    const node = lab.nodes.find(({ run_dir }) => words.some((word) => word.includes(`${run_dir}/`)));
    const stat = statOf(pid);
    if (!node || !stat || stat.state === 'Z' || stat.state === 'X') continue;
    const held = stat.state === 'T' || isFrozen(lab, node.name, instance);
    found.push({ pid, start_ticks: stat.start_ticks, node: node.name, held });
  }
  return found;
}

/** CPU time of its virtual CPUs' threads in clock ticks; null: it is gone or has none yet. */
function virtualCpuTicks(pid: number): number | null {
  const read = (path: string): string | null => {
    try {
      return readFileSync(path, 'latin1');
    } catch (error) {
      if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
      throw error;
    }
  };
  if (!existsSync(`/proc/${pid}/task`)) return null;
  let ticks: number | null = null;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    if (!read(`/proc/${pid}/task/${thread}/comm`)?.startsWith('CPU ')) continue;
    const stat = read(`/proc/${pid}/task/${thread}/stat`);
    if (stat === null) continue;
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks = (ticks ?? 0) + Number(fields[11]) + Number(fields[12]);
  }
  return ticks;
}

function isFrozen(lab: Lab, node: string, instance: string): boolean {
  const group = encodeURIComponent(`guest/${instance}`);
  return cgroupDirs(lab.node(node)).some((base) => {
    const read = (file: string): string => {
      const path = join(base, group, file);
      try {
        return existsSync(path) ? readFileSync(path, 'latin1') : '';
      } catch (error) {
        // Removed between the two looks.
        if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
        throw error;
      }
    };
    return read('freezer.state').trim() === 'FROZEN' || /^frozen 1$/m.test(read('cgroup.events'));
  });
}

/** One process of the instance as it was seen over time; times in milliseconds of this machine's clock. */
export interface GuestRun {
  readonly pid: number;
  readonly node: string;
  /** The last look that did not see it, and the first that did. */
  readonly not_before_ms: number;
  readonly first_ms: number;
  /** The last look at which its virtual CPUs could run. */
  last_running_ms: number;
  /** Of its virtual CPUs when it was last seen held; null: not seen held. */
  held_ticks: number | null;
  last_ms: number;
}

/** Looks at an instance's processes every 40 ms or so. */
export class GuestWatch {
  readonly runs: GuestRun[] = [];
  /** Looks that saw more than one process that could execute. */
  readonly doubles: string[] = [];
  looks = 0;
  readonly #lab: Lab;
  readonly #instance: string;
  #timer: NodeJS.Timeout | null = null;
  #last_ms = Date.now();

  constructor(lab: Lab, instance: string) {
    this.#lab = lab;
    this.#instance = instance;
    this.#look();
  }

  #look(): void {
    const before_ms = Date.now();
    const now = guestProcesses(this.#lab, this.#instance);
    const at_ms = Date.now();
    const executing: GuestProcess[] = [];
    for (const seen of now) {
      let run = this.runs.find(({ pid, node }) => pid === seen.pid && node === seen.node);
      if (!run) {
        run = {
          pid: seen.pid,
          node: seen.node,
          not_before_ms: this.#last_ms,
          first_ms: at_ms,
          last_running_ms: 0,
          held_ticks: null,
          last_ms: at_ms,
        };
        this.runs.push(run);
      }
      run.last_ms = at_ms;
      const ticks = virtualCpuTicks(seen.pid);
      if (seen.held) run.held_ticks = ticks;
      // A keeper whose lease is back thaws what is still stopped by its monitor, so that its agent can end it: until
      // its virtual CPUs have used time again, it is held as before.
      else if (run.held_ticks === null || (ticks !== null && ticks > run.held_ticks)) {
        run.held_ticks = null;
        run.last_running_ms = at_ms;
        executing.push(seen);
      }
    }
    if (executing.length > 1)
      this.doubles.push(`${at_ms}: ${executing.map(({ pid, node }) => `${pid} on ${node}`).join(', ')}`);
    this.looks += 1;
    this.#last_ms = before_ms;
    this.#timer = setTimeout(() => this.#look(), 40);
  }

  /** The run that began last. */
  get latest(): GuestRun {
    const run = this.runs.at(-1);
    if (!run) throw new Error(`no process of ${this.#instance} was seen`);
    return run;
  }

  /** The run that began after that of process `pid`: the configuration may tell of it before this watch has looked. */
  async successorOf(pid: number): Promise<GuestRun> {
    await waitUntil(
      () => this.latest.pid !== pid,
      `another process of ${this.#instance} than ${pid}`,
      patience_ms,
    );
    return this.latest;
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** What a guest says on its serial console from now on, seen through an agent. */
export interface ConsoleTail {
  /** Numbers that it has counted, in the order told. */
  readonly counts: readonly number[];
  /** How often it said that it came up. */
  readonly boots: number;
  readonly closed: boolean;
  stop(): void;
}

/** Attaches to a console; waits until there is one. */
export async function tailConsole(lab: Lab, via: string, instance: string): Promise<ConsoleTail> {
  const { client, stream } = await waitUntil(
    async () => {
      const connected = await connectApi(lab.node(via).socket);
      try {
        const attached = await connected.attachConsole(instance, 10_000);
        return { client: connected, stream: attached.stream };
      } catch (error) {
        connected.close();
        throw error;
      }
    },
    `a console of ${instance} through ${via}`,
    patience_ms,
    200,
  );
  const seen = { counts: [] as number[], boots: 0, closed: false };
  let text = '';
  stream.onData((bytes) => {
    text += Buffer.from(bytes).toString('latin1');
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      const count = /COUNT (\d+)/.exec(line);
      if (count) seen.counts.push(Number(count[1]));
      if (/SKEIN-GUEST \S+ up/.test(line)) seen.boots += 1;
    }
  });
  stream.onClose(() => {
    seen.closed = true;
  });
  return {
    get counts() {
      return seen.counts;
    },
    get boots() {
      return seen.boots;
    },
    get closed() {
      return seen.closed;
    },
    stop() {
      stream.close();
      client.close();
    },
  };
}

/** Waits until an instance has counted so many numbers on its console, and answers them. */
export async function countOnConsole(
  lab: Lab,
  via: string,
  instance: string,
  numbers = 2,
  timeout_ms = 2 * patience_ms,
): Promise<readonly number[]> {
  const deadline = Date.now() + timeout_ms;
  for (;;) {
    const tail = await tailConsole(lab, via, instance);
    try {
      // A console that ended (its guest moved) is opened again.
      await waitUntil(
        () => tail.closed || tail.counts.length >= numbers,
        `${instance} to count ${numbers} numbers on its console (seen: ${tail.counts.join(' ')})`,
        Math.max(1, deadline - Date.now()),
      );
      if (tail.counts.length >= numbers) return tail.counts;
    } finally {
      tail.stop();
    }
  }
}

/** Waits until the cluster says that the instance runs, and exactly one process of it exists; on which host. */
export async function runsOnce(
  lab: Lab,
  via: string,
  instance: string,
  timeout_ms = 2 * patience_ms,
): Promise<GuestProcess> {
  return waitUntil(
    async () => {
      const { rows: found } = await lab
        .node(via)
        .call('query', { resource: 'instance', names: [instance] }, { timeout_ms: 10_000 });
      const [row] = found;
      const processes = guestProcesses(lab, instance);
      const [only] = processes;
      return row?.status === 'running' && processes.length === 1 && only && only.node === row.pnode
        ? only
        : null;
    },
    `${instance} to run on one host`,
    timeout_ms,
    100,
  );
}
