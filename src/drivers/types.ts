/**
 * The outside world, one interface per kind. Drivers take plain parameters and return plain results; they know
 * nothing of Raft, jobs or the mesh. Every external program is an argument list with a timeout; its standard error is
 * in the error. All acts are idempotent: done twice is done once.
 */

/** What a driver says when something is wrong. `hint` ends in something to try. */
export class DriverError extends Error {
  readonly code:
    | 'missing-program'
    | 'invalid'
    | 'not-found'
    | 'exists'
    | 'failed'
    | 'timeout'
    | 'no-space'
    | 'unsupported';
  readonly hint: string;
  constructor(code: DriverError['code'], message: string, hint = '') {
    super(message);
    this.name = 'DriverError';
    this.code = code;
    this.hint = hint;
  }
}

export interface Capabilities {
  readonly available: boolean;
  /** Why not, and what would make it so. */
  readonly reason: string;
  readonly details: Readonly<Record<string, unknown>>;
}

// ---------------------------------------------------------------- storage

export interface DiskSpec {
  readonly uuid: string;
  readonly instance_name: string;
  readonly index: number;
  /** MiB */
  readonly size: number;
  readonly mode: 'rw' | 'ro';
  /** [driver, path] as in the configuration. */
  readonly logical_id: readonly (string | number)[];
}

export interface StorageDriver {
  readonly template: string;
  capabilities(): Promise<Capabilities>;
  /** The path a new disk gets: known before it exists, so that undo can name it. */
  plan(
    base_dir: string,
    disk: { readonly uuid: string; readonly instance_name: string; readonly index: number },
  ): readonly (string | number)[];
  /** Exists already with this uuid and size: fine. Exists otherwise: `exists`. ENOSPC leaves nothing behind. */
  create(disk: DiskSpec): Promise<void>;
  /** Gone already: fine. Removes the instance's directory too when it is empty. */
  remove(disk: DiskSpec): Promise<void>;
  info(disk: DiskSpec): Promise<{ readonly exists: boolean; readonly size: number; readonly path: string }>;
}

// ---------------------------------------------------------------- network

export interface NicSpec {
  readonly uuid: string;
  readonly index: number;
  readonly name: string | null;
  readonly mac: string;
  readonly ip: string | null;
  /** Filled: `bridged` with a bridge name in link, or `user` (QEMU's user-mode network, for hosts without root). */
  readonly mode: string;
  readonly link: string;
  readonly vlan: string;
}

export interface NetworkDriver {
  readonly mode: string;
  capabilities(): Promise<Capabilities>;
  /** Makes the tap and puts it on the bridge (nothing for `user`). Answers what QEMU needs. */
  up(
    instance_name: string,
    nic: NicSpec,
    tags: readonly string[],
  ): Promise<{ readonly ifname: string | null }>;
  down(instance_name: string, nic: NicSpec): Promise<void>;
}

// ---------------------------------------------------------------- processes

/**
 * Starts and ends processes that outlive the agent. The keeper implements it; a fake does in tests. Names are unique
 * on a host: `guest/INSTANCE`.
 */
export interface ProcessKeeper {
  /** Starts unless one of that name and `tag` runs already; resolves with its pid once exec succeeded. */
  spawn(spec: ProcessSpec): Promise<{ readonly pid: number }>;
  /** SIGKILL to everything in its group; resolves when proven gone. Gone already: fine. */
  kill(name: string, timeout_ms: number): Promise<void>;
  list(): Promise<readonly KeptProcess[]>;
  /** Called when a kept process ended by itself or was killed. */
  onExit(
    handler: (exit: {
      name: string;
      tag: string;
      code: number | null;
      signal: string | null;
      log_tail: string;
    }) => void,
  ): void;
}

export interface ProcessSpec {
  readonly name: string;
  /** Carried along and reported: an instance's `uuid:epoch`. */
  readonly tag: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** stdout and stderr go here (truncated at start). */
  readonly log_file: string;
  /** Subject to the lease: the keeper freezes and kills it when the lease has run out. */
  readonly protected: boolean;
}

export interface KeptProcess {
  readonly name: string;
  readonly tag: string;
  readonly pid: number;
  readonly protected: boolean;
  readonly frozen: boolean;
}

// ---------------------------------------------------------------- hypervisor

/** Everything needed to start a guest; parameters are filled (inheritance resolved). */
export interface GuestSpec {
  readonly uuid: string;
  readonly name: string;
  readonly epoch: number;
  readonly memory_mib: number;
  readonly vcpus: number;
  readonly hvparams: Readonly<Record<string, string | number | boolean | null>>;
  readonly disks: readonly { readonly path: string; readonly mode: 'rw' | 'ro'; readonly uuid: string }[];
  readonly nics: readonly NicSpec[];
  readonly tags: readonly string[];
  readonly protected: boolean;
}

export interface GuestInfo {
  readonly name: string;
  readonly uuid: string;
  readonly epoch: number;
  readonly state: 'running' | 'paused' | 'starting' | 'shutdown';
  readonly memory_mib: number;
  readonly vcpus: number;
  readonly pid: number;
}

export interface ConsoleInfo {
  /** `unix`: a byte stream on a unix socket of this host. */
  readonly kind: 'unix' | 'none';
  readonly path: string;
  readonly message: string;
}

export interface HypervisorDriver {
  readonly name: string;
  capabilities(): Promise<Capabilities>;
  /** Throws `invalid` naming the parameter, the value and what was expected. */
  validate(hvparams: GuestSpec['hvparams']): void;
  /** Runs already with this uuid and epoch: fine. With an older epoch: refuses. `paused`: created but its CPUs do not run. */
  start(guest: GuestSpec, options: { readonly paused: boolean }): Promise<void>;
  /** Asks the guest to power off; after `timeout_ms` (0: at once) kills it. Resolves when proven gone, NICs taken down. */
  stop(name: string, timeout_ms: number): Promise<void>;
  /** Reset without the process ending. */
  reset(name: string): Promise<void>;
  /** Stops the CPUs and drains I/O; resolves only when QMP confirmed. */
  pause(name: string, timeout_ms: number): Promise<void>;
  resume(name: string): Promise<void>;
  /** Every guest of this driver on this host, from the processes that really exist. */
  list(): Promise<readonly GuestInfo[]>;
  console(name: string): ConsoleInfo;
  /** Removes sockets, logs and taps of a guest that is gone. */
  cleanup(name: string): Promise<void>;
}

// ---------------------------------------------------------------- OS definitions

export interface OsDefinition {
  readonly name: string;
  readonly path: string;
  readonly api_versions: readonly number[];
  readonly variants: readonly string[];
  readonly parameters: readonly { readonly name: string; readonly description: string }[];
  readonly valid: boolean;
  /** Why it is not valid. */
  readonly reason: string;
}

export interface OsRun {
  readonly guest: GuestSpec;
  /** `name` or `name+variant`. */
  readonly os: string;
  readonly osparams: Readonly<Record<string, string>>;
  readonly hypervisor: string;
  readonly disk_sizes_mib: readonly number[];
  readonly beparams: Readonly<Record<string, unknown>>;
  readonly primary_node: string;
  readonly reinstall: boolean;
  readonly log_file: string;
  readonly timeout_ms: number;
}

export interface OsDriver {
  list(): Promise<readonly OsDefinition[]>;
  /** Runs `create`; rejects with the last lines of its log. `onLine` sees its output as it comes. */
  create(run: OsRun, onLine: (line: string) => void, signal: AbortSignal): Promise<void>;
}

// ---------------------------------------------------------------- master IP

export interface MasterIpParams {
  readonly netdev: string;
  readonly ip: string;
  /** Prefix length. */
  readonly netmask: number;
  readonly family: 4 | 6;
  /** Operator's script, or '' for the built-in one. */
  readonly script: string;
}

export interface PowerDriver {
  /** Runs the operator's program that reboots this host. The host may be gone before this resolves. */
  reboot(node: string): Promise<void>;
  /** Runs Ganeti's out-of-band program (`PROGRAM power-cycle NODE`) for another host. */
  powerCycle(program: string, node: string): Promise<void>;
  /** Runs `PROGRAM power-status NODE`. Rejects, within 10 s, unless it answers whether that host has power. */
  isPowered(program: string, node: string): Promise<boolean>;
}

export interface MasterIpDriver {
  /** Runs the script with `start`. Ended by `signal` it rejects; the address may be up then. */
  start(params: MasterIpParams, signal?: AbortSignal): Promise<void>;
  /** Runs the script with `stop`; if it fails or hangs, removes the address directly and rejects afterwards, saying so. */
  stop(params: MasterIpParams): Promise<void>;
  /** Whether the address is on this host. */
  holds(params: MasterIpParams): Promise<boolean>;
}
