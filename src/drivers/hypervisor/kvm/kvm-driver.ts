/**
 * Guests in QEMU, one process each, kept by the process keeper and spoken to over QMP. What counts is which processes
 * really exist; the record beside them only tells what they were started with. Acts on one guest take turns, but no
 * pause or kill ever waits for a guest that takes its time to shut down. A guest is said to be gone only when the
 * keeper has proven it, and is never asked to `quit`: on a stalled disk that hangs all of QEMU, while SIGKILL works.
 */
import { existsSync } from 'node:fs';
import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { default_path } from '../../process/program-path.ts';
import { runCommand } from '../../process/run-command.ts';
import { createTurns } from '../../process/turns.ts';
import {
  DriverError,
  type GuestInfo,
  type GuestSpec,
  type HypervisorDriver,
  type KeptProcess,
  type NetworkDriver,
  type ProcessKeeper,
} from '../../types.ts';
import {
  boundConsoleLog,
  type GuestFiles,
  guestFiles,
  readGuestRecord,
  removeSockets,
  writeGuestRecord,
} from './guest-directory.ts';
import { firstContact, guestState, pause, queryStatus, withMonitor } from './guest-monitor.ts';
import { kvmArguments } from './kvm-arguments.ts';
import { validateKvmParameters } from './kvm-parameters.ts';
import { createQemuChoice } from './qemu-choice.ts';
import type { QmpClient } from './qmp.ts';

export interface KvmDriverOptions {
  /** Sockets, console logs and records of the guests of this host; made if missing. */
  readonly run_dir: string;
  readonly keeper: ProcessKeeper;
  /** By NIC mode. */
  readonly network: ReadonlyMap<string, NetworkDriver>;
  /** `auto` (the default) finds out by trying. */
  readonly accel?: 'auto' | 'kvm' | 'tcg';
  /** From the process's start to running CPUs. */
  readonly start_timeout_ms?: number;
  /** For each guest when they are listed. */
  readonly query_timeout_ms?: number;
}

const name_prefix = 'guest/';
const default_start_timeout_ms = 30_000;
const default_query_timeout_ms = 1_000;
const command_timeout_ms = 5_000;
const kill_timeout_ms = 10_000;
/** Ganeti asks again every five seconds: a guest that still boots does not hear the first time. */
const powerdown_interval_ms = 5_000;
const powerdown_poll_ms = 100;
const console_check_interval_ms = 60_000;

function parseTag(tag: string): { readonly uuid: string; readonly epoch: number } {
  const at = tag.lastIndexOf(':');
  return { uuid: tag.slice(0, at), epoch: Number(tag.slice(at + 1)) };
}

function checkSize(guest: GuestSpec): void {
  for (const [what, value, least] of [
    ['memory_mib', guest.memory_mib, 1],
    ['vcpus', guest.vcpus, 1],
    ['epoch', guest.epoch, 0],
  ] as const) {
    if (Number.isInteger(value) && value >= least) continue;
    throw new DriverError(
      'invalid',
      `${what} ${value} of ${guest.name}: expected a whole number from ${least}`,
    );
  }
}

/** Names the first file that the guest needs and that is not there. */
async function checkFiles(guest: GuestSpec): Promise<void> {
  const parameters = [
    'kernel_path',
    'initrd_path',
    'cdrom_image_path',
    'cdrom2_image_path',
    'vnc_password_file',
  ];
  const wanted = [
    ...parameters.map((name) => [`hypervisor parameter ${name}`, guest.hvparams[name]] as const),
    ...guest.disks.map((disk, index) => [`disk ${index}`, disk.path] as const),
  ];
  for (const [what, path] of wanted) {
    if (typeof path !== 'string' || path === '') continue;
    await access(path).catch((error: NodeJS.ErrnoException) => {
      const problem = error.code === 'ENOENT' ? 'no such file' : error.message;
      throw new DriverError('not-found', `${what} of ${guest.name}: "${path}": ${problem}`);
    });
  }
}

/** Creates the driver of hypervisor `kvm`. */
export function createKvmDriver(options: KvmDriverOptions): HypervisorDriver {
  const { run_dir, keeper, network } = options;
  const start_timeout_ms = options.start_timeout_ms ?? default_start_timeout_ms;
  const query_timeout_ms = options.query_timeout_ms ?? default_query_timeout_ms;
  const choice = createQemuChoice(run_dir, options.accel ?? 'auto');
  const turns = createTurns();
  const last_state = new Map<string, GuestInfo['state']>();
  const console_checked_ms = new Map<string, number>();

  async function kept(name: string): Promise<KeptProcess | undefined> {
    return (await keeper.list()).find((process) => process.name === `${name_prefix}${name}`);
  }

  /** Runs `act` over QMP on a guest that exists, in its turn. */
  function onGuest(
    name: string,
    timeout_ms: number,
    act: (client: QmpClient, files: GuestFiles) => Promise<void>,
  ): Promise<void> {
    return turns.take(name, async () => {
      const files = guestFiles(run_dir, name);
      if ((await kept(name)) === undefined) {
        throw new DriverError('not-found', `instance ${name} does not run on this host`);
      }
      await withMonitor(files, timeout_ms, (client) => act(client, files));
    });
  }

  function networkOf(mode: string): NetworkDriver {
    const driver = network.get(mode);
    if (driver !== undefined) return driver;
    throw new DriverError(
      'unsupported',
      `NIC mode "${mode}": expected one of ${[...network.keys()].join(', ')}`,
    );
  }

  async function nicsDown(guest: GuestSpec): Promise<void> {
    for (const nic of guest.nics) await networkOf(nic.mode).down(guest.name, nic);
  }

  /** From a process that exists to running CPUs (or proven stopped ones). Finishes what a dead agent had begun, too. */
  async function confirm(guest: GuestSpec, files: GuestFiles, paused: boolean): Promise<void> {
    const client = await firstContact(
      files,
      start_timeout_ms,
      async () => (await kept(guest.name)) !== undefined,
    );
    try {
      if (paused) return;
      if ((await queryStatus(client, command_timeout_ms)) === 'prelaunch') {
        await client.execute('cont', undefined, command_timeout_ms);
      }
      if ((await queryStatus(client, command_timeout_ms)) === 'prelaunch') {
        throw new DriverError('failed', 'QEMU accepted "cont" but did not begin to run');
      }
    } finally {
      client.close();
    }
  }

  async function start(guest: GuestSpec, paused: boolean): Promise<void> {
    const files = guestFiles(run_dir, guest.name);
    validateKvmParameters(guest.hvparams);
    const running = await kept(guest.name);
    if (running !== undefined) {
      const { uuid, epoch } = parseTag(running.tag);
      if (uuid === guest.uuid && epoch === guest.epoch) return await confirm(guest, files, paused);
      const message = `${guest.name} runs already as ${uuid} in epoch ${epoch}, not as ${guest.uuid} in epoch ${guest.epoch}`;
      throw new DriverError('exists', message, 'stop that one first');
    }
    checkSize(guest);
    await checkFiles(guest);
    for (const nic of guest.nics) networkOf(nic.mode);
    const qemu = await choice.qemu(guest.hvparams);
    const { accel } = await choice.accelerator(qemu, guest.hvparams);

    // A record of an earlier start may name taps that were never taken down.
    const former = await readGuestRecord(files);
    if (former !== null) await nicsDown(former.guest);
    await writeGuestRecord(files, { version: 1, guest, paused, accel });
    await removeSockets(files);
    await boundConsoleLog(files);
    try {
      const taps: (string | null)[] = [];
      for (const nic of guest.nics) {
        taps.push((await networkOf(nic.mode).up(guest.name, nic, guest.tags)).ifname);
      }
      await keeper.spawn({
        name: `${name_prefix}${guest.name}`,
        tag: `${guest.uuid}:${guest.epoch}`,
        argv: kvmArguments({ qemu, accel, guest, files, taps }),
        env: { PATH: default_path, LC_ALL: 'C' },
        cwd: '/',
        log_file: files.qemu_log,
        protected: guest.protected,
      });
      await confirm(guest, files, paused);
    } catch (error) {
      await undoStart(guest, files, error);
      const known = error instanceof DriverError ? error : new DriverError('failed', String(error));
      throw new DriverError(known.code, `cannot start ${guest.name}: ${known.message}`, known.hint);
    }
  }

  /** A start that failed leaves neither a process nor a tap; QEMU's log stays for whoever looks for the reason. */
  async function undoStart(guest: GuestSpec, files: GuestFiles, cause: unknown): Promise<void> {
    try {
      await keeper.kill(`${name_prefix}${guest.name}`, kill_timeout_ms);
      await nicsDown(guest);
      await removeSockets(files);
    } catch (error) {
      const message = `cannot start ${guest.name} (${String(cause)}), nor remove what was begun (${String(error)})`;
      throw new AggregateError([cause, error], message);
    }
  }

  /** Presses the power button; false when the guest stands still and cannot hear. */
  function askToPowerDown(name: string, files: GuestFiles, timeout_ms: number): Promise<boolean> {
    return turns.take(name, async () => {
      try {
        return await withMonitor(files, timeout_ms, async (client) => {
          const now = await queryStatus(client, timeout_ms);
          if (now === 'running') await client.execute('system_powerdown', undefined, timeout_ms);
          return now === 'running' || now === 'shutdown';
        });
      } catch (error) {
        // QEMU may end while we talk, or not answer: the caller sees which, and the kill needs no monitor.
        if (!(error instanceof DriverError)) throw error;
        return true;
      }
    });
  }

  /** Asks the guest to power off until it has or `timeout_ms` is over. One that stands still is not waited for. */
  async function powerDown(name: string, files: GuestFiles, timeout_ms: number): Promise<void> {
    const deadline_ms = Date.now() + timeout_ms;
    const pid = (await kept(name))?.pid;
    let asked = 0;
    let ask_at_ms = Date.now();
    for (;;) {
      const process = await kept(name);
      const left_ms = deadline_ms - Date.now();
      if (process === undefined || process.pid !== pid || left_ms <= 0) return;
      if (Date.now() >= ask_at_ms) {
        ask_at_ms = Date.now() + powerdown_interval_ms;
        const hears =
          !process.frozen && (await askToPowerDown(name, files, Math.min(command_timeout_ms, left_ms)));
        if (!hears && asked === 0) return;
        asked += 1;
      }
      await pause(Math.min(powerdown_poll_ms, left_ms));
    }
  }

  async function stop(name: string, timeout_ms: number): Promise<void> {
    const files = guestFiles(run_dir, name);
    const before = await kept(name);
    if (before !== undefined && timeout_ms > 0) await powerDown(name, files, timeout_ms);
    // At once, not in turn: whoever holds the turn may be waiting for a guest that does not answer.
    const now = await kept(name);
    if (now !== undefined && (timeout_ms === 0 || now.pid === before?.pid))
      await keeper.kill(now.name, kill_timeout_ms);
    await turns.take(name, async () => {
      const after = await kept(name);
      if (after !== undefined && timeout_ms === 0) await keeper.kill(after.name, kill_timeout_ms);
      else if (after !== undefined) return; // Started anew meanwhile: not the one that was to be stopped.
      last_state.delete(name);
      const record = await readGuestRecord(files);
      if (record !== null) await nicsDown(record.guest);
      await removeSockets(files);
    });
  }

  async function currentState(
    name: string,
    files: GuestFiles,
    started_paused: boolean,
  ): Promise<GuestInfo['state']> {
    // While somebody talks to its monitor, which serves one at a time, the last answer has to do.
    if (turns.busy(name)) return last_state.get(name) ?? 'starting';
    try {
      return await turns.take(name, () =>
        withMonitor(files, query_timeout_ms, async (client) =>
          guestState(await queryStatus(client, query_timeout_ms), started_paused),
        ),
      );
    } catch (error) {
      if (!(error instanceof DriverError)) throw error;
      return last_state.get(name) ?? 'running'; // A process that does not answer must be taken to run.
    }
  }

  async function describe(process: KeptProcess): Promise<GuestInfo> {
    const name = process.name.slice(name_prefix.length);
    const files = guestFiles(run_dir, name);
    const record = await readGuestRecord(files);
    if (Date.now() - (console_checked_ms.get(name) ?? 0) > console_check_interval_ms) {
      console_checked_ms.set(name, Date.now());
      await boundConsoleLog(files);
    }
    const state = process.frozen ? 'paused' : await currentState(name, files, record?.paused ?? false);
    if (!process.frozen) last_state.set(name, state);
    const { memory_mib = 0, vcpus = 0 } = record?.guest ?? {};
    return { name, ...parseTag(process.tag), state, memory_mib, vcpus, pid: process.pid };
  }

  return {
    name: 'kvm',

    async capabilities() {
      let qemu: string;
      try {
        qemu = await choice.qemu({});
      } catch (error) {
        if (!(error instanceof DriverError)) throw error;
        return { available: false, reason: `${error.message}; ${error.hint}`, details: {} };
      }
      const { stdout } = await runCommand([qemu, '--version'], { timeout_ms: command_timeout_ms });
      const { accel, reason } = await choice.accelerator(qemu, {});
      const version = stdout.split('\n')[0] ?? '';
      const details = { qemu, version, accel, accel_reason: reason, network: [...network.keys()] };
      return { available: true, reason: '', details };
    },

    validate: validateKvmParameters,
    start: (guest, { paused }) => turns.take(guest.name, () => start(guest, paused)),
    stop,

    reset: (name) =>
      onGuest(name, command_timeout_ms, async (client) => {
        await client.execute('system_reset', undefined, command_timeout_ms);
      }),

    pause: (name, timeout_ms) =>
      onGuest(name, timeout_ms, async (client) => {
        await client.execute('stop', undefined, timeout_ms);
        const now = await queryStatus(client, timeout_ms);
        if (now === 'running')
          throw new DriverError('failed', `${name}: QEMU accepted "stop" but still runs`);
        last_state.set(name, 'paused');
      }),

    resume: (name) =>
      onGuest(name, command_timeout_ms, async (client, files) => {
        await client.execute('cont', undefined, command_timeout_ms);
        const now = await queryStatus(client, command_timeout_ms);
        last_state.set(name, guestState(now, false));
        if (now === 'running') return;
        const hint = `look at ${join(files.directory, 'qemu.log')}`;
        throw new DriverError('failed', `${name}: QEMU accepted "cont" but is "${now}"`, hint);
      }),

    async list() {
      const processes = (await keeper.list()).filter((process) => process.name.startsWith(name_prefix));
      const known = new Set(processes.map((process) => process.name.slice(name_prefix.length)));
      for (const name of [...console_checked_ms.keys(), ...last_state.keys()]) {
        if (known.has(name)) continue;
        console_checked_ms.delete(name);
        last_state.delete(name);
      }
      return await Promise.all(processes.map(describe));
    },

    console(name) {
      const { serial } = guestFiles(run_dir, name);
      if (existsSync(serial)) return { kind: 'unix', path: serial, message: '' };
      const message = `instance ${name} does not run on this host, or has no serial console (hypervisor parameter serial_console)`;
      return { kind: 'none', path: '', message };
    },

    cleanup: (name) =>
      turns.take(name, async () => {
        const files = guestFiles(run_dir, name);
        if ((await kept(name)) !== undefined) {
          throw new DriverError(
            'exists',
            `instance ${name} still runs: nothing was removed`,
            'stop it first',
          );
        }
        const record = await readGuestRecord(files);
        if (record !== null) await nicsDown(record.guest);
        await rm(files.directory, { recursive: true, force: true });
      }),
  };
}
