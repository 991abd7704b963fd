/**
 * What an agent is told on its command line. Everything else is in its data directory or in the replicated state.
 */
import { mkdirSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Timing } from '../consensus/api.ts';
import { default_timing } from '../consensus/api.ts';
import type { ReplicaLimits } from '../consensus/index.ts';

export interface AgentOptions {
  readonly name: string;
  /** Identity, log, state: survives reboots. */
  readonly data_dir: string;
  /** Sockets and guests' run-time files: lost in a reboot. */
  readonly run_dir: string;
  readonly log_dir: string;
  /** Multiaddrs for the mesh. */
  readonly listen: readonly string[];
  readonly timing: Timing;
  readonly test_hooks: boolean;
  /** The operator's own, used when the cluster says `use_external_mip_script`. */
  readonly master_ip_script: string;
  /** The operator's own, run by `skein maintenance run` to reboot this host. */
  readonly reboot_program: string;
  /** Directories of OS definitions that are looked into before the usual ones. */
  readonly os_paths: readonly string[];
  /** Fake guests for tests and dry runs. */
  readonly fake_dir: string;
  /** Of the replica: when its log is compacted, how a snapshot is cut up. Tests only; absent: the usual. */
  readonly raft_limits?: Partial<ReplicaLimits>;
}

export class UsageError extends Error {}

const default_port = 1820;

function isTcpMultiaddr(text: string): boolean {
  const [, family, host = '', port] = /^\/ip([46])\/([^/]+)\/tcp\/(\d{1,5})$/.exec(text) ?? [];
  return isIP(host) === Number(family) && Number(port) >= 1 && Number(port) <= 65_535;
}

/**
 * @param argv without node and script.
 * @throws UsageError naming the option, its value and what was expected.
 */
export function parseAgentOptions(argv: readonly string[], env: NodeJS.ProcessEnv): AgentOptions {
  let values: Record<string, string | undefined | string[]>;
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        name: { type: 'string' },
        data: { type: 'string', default: '/var/lib/skein' },
        run: { type: 'string', default: '/run/skein' },
        log: { type: 'string', default: '/var/log/skein' },
        listen: { type: 'string', multiple: true },
        'election-ms': { type: 'string' },
      },
    }) as { values: typeof values });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const listen = (values['listen'] as string[] | undefined) ?? [
    `/ip4/0.0.0.0/tcp/${default_port}`,
    `/ip6/::/tcp/${default_port}`,
  ];
  for (const address of listen) {
    if (!isTcpMultiaddr(address)) {
      throw new UsageError(
        `--listen ${address}: expected a multiaddr such as /ip4/192.0.2.7/tcp/${default_port}`,
      );
    }
  }
  let timing = default_timing;
  const election = values['election-ms'] as string | undefined;
  if (election !== undefined) {
    const election_ms = Number(election);
    if (!Number.isInteger(election_ms) || election_ms < 500 || election_ms > 60_000) {
      throw new UsageError(`--election-ms ${election}: expected milliseconds from 500 to 60000`);
    }
    timing = { ...timing, election_ticks: Math.ceil(election_ms / timing.tick_ms) };
  }
  const options = {
    name: (values['name'] as string | undefined) ?? hostname(),
    data_dir: resolve(values['data'] as string),
    run_dir: resolve(values['run'] as string),
    log_dir: resolve(values['log'] as string),
    listen,
    timing,
    test_hooks: env['SKEIN_TEST'] === '1',
    master_ip_script: env['SKEIN_MASTER_IP_SCRIPT'] || '/etc/ganeti/scripts/master-ip-setup',
    reboot_program: env['SKEIN_REBOOT_PROGRAM'] || '/etc/skein/reboot-node',
    os_paths: (env['SKEIN_OS_PATH'] ?? '').split(delimiter).filter((path) => path !== ''),
  };
  return { ...options, fake_dir: join(options.run_dir, 'fake') };
}

/** The directories an agent needs, mode 0700. */
export function makeDirectories(options: AgentOptions): void {
  for (const directory of [options.data_dir, options.run_dir, options.log_dir])
    mkdirSync(directory, { recursive: true, mode: 0o700 });
}
