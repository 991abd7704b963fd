/**
 * Puts the master IP on this host and takes it off, through Ganeti's script interface: the built-in script or an
 * operator's in its place, with the same arguments and environment. Guarantees that after `stop` has settled, resolved
 * or rejected, the address is off this host, or the rejection says that it is not. A hanging script is killed.
 *
 * `start` does not ask whether the address answers elsewhere: the caller's lease rules that out, and asking would
 * cost every takeover the time of a probe.
 */

import { isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import { default_path, requireProgram } from '../process/program-path.ts';
import { runCommand } from '../process/run-command.ts';
import { DriverError, type MasterIpDriver, type MasterIpParams } from '../types.ts';

export interface MasterIpDriverOptions {
  /** For one run of the script. */
  readonly timeout_ms: number;
  /** Told what a script that succeeded had to complain about. */
  readonly onWarning?: (text: string) => void;
  /** The built-in script, if it is not beside this file (as in a bundle). */
  readonly builtin_script?: string;
}

interface AddressRow {
  readonly ifname?: string;
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

/** A stop script that needs longer has the address removed under it. */
const stop_patience_ms = 1_000;
/** For `ip` itself, which only talks to the kernel. */
const ip_timeout_ms = 3_000;

function check(params: MasterIpParams): void {
  const { ip, family, netmask, netdev, script } = params;
  if (isIP(ip) !== family)
    throw new DriverError('invalid', `master IP "${ip}": expected an IPv${family} address`);
  const longest = family === 4 ? 32 : 128;
  if (!Number.isInteger(netmask) || netmask < 1 || netmask > longest) {
    throw new DriverError(
      'invalid',
      `master netmask ${netmask}: expected a prefix length from 1 to ${longest}`,
    );
  }
  if (!/^[^\s/]{1,15}$/.test(netdev))
    throw new DriverError(
      'invalid',
      `master netdev ${JSON.stringify(netdev)}: expected the name of a network device`,
    );
  if (script !== '' && !script.startsWith('/'))
    throw new DriverError('invalid', `master IP script "${script}": expected an absolute path or ""`);
}

async function held(
  params: MasterIpParams,
): Promise<readonly { readonly ifname: string; readonly address: string }[]> {
  const full = params.family === 4 ? 32 : 128;
  const argv = [
    await requireProgram('ip'),
    '-j',
    `-${params.family}`,
    'addr',
    'show',
    'to',
    `${params.ip}/${full}`,
  ];
  const { stdout } = await runCommand(argv, { timeout_ms: ip_timeout_ms });
  const rows = JSON.parse(stdout.trim() === '' ? '[]' : stdout) as AddressRow[];
  return rows.flatMap(({ ifname, addr_info }) =>
    (addr_info ?? []).flatMap(({ local, prefixlen }) =>
      ifname !== undefined && local !== undefined
        ? [{ ifname, address: `${local}/${prefixlen ?? full}` }]
        : [],
    ),
  );
}

/** Creates the driver of the master IP. */
export function createMasterIpDriver(options: MasterIpDriverOptions): MasterIpDriver {
  const builtin = options.builtin_script ?? fileURLToPath(new URL('./master-ip-setup', import.meta.url));

  async function run(params: MasterIpParams, act: 'start' | 'stop', signal?: AbortSignal): Promise<void> {
    const env = {
      PATH: default_path,
      MASTER_NETDEV: params.netdev,
      MASTER_IP: params.ip,
      MASTER_NETMASK: String(params.netmask),
      CLUSTER_IP_VERSION: String(params.family),
    };
    const script = params.script === '' ? builtin : params.script;
    const { stderr } = await runCommand([script, act], { timeout_ms: options.timeout_ms, env, signal });
    if (stderr.trim() !== '') options.onWarning?.(`${script} ${act}: ${stderr.trim()}`);
  }

  /** Answers how many addresses it removed. */
  async function removeDirectly(params: MasterIpParams): Promise<number> {
    const left = await held(params);
    if (left.length === 0) return 0;
    const ip = await requireProgram('ip');
    for (const { ifname, address } of left) {
      await runCommand([ip, 'addr', 'del', address, 'dev', ifname], {
        timeout_ms: ip_timeout_ms,
        allow_failure: true,
      });
    }
    return left.length;
  }

  return {
    async start(params, signal) {
      check(params);
      if (params.script === '') await requireProgram('ip');
      await run(params, 'start', signal);
    },

    async stop(params) {
      check(params);
      let problem: unknown = null;
      let removed = 0;
      // A script that hangs must not keep the address up beside the next master: it is removed while the script runs on.
      const impatient = setTimeout(() => {
        removeDirectly(params).then(
          (count) => {
            removed += count;
          },
          (error: Error) => options.onWarning?.(`removing ${params.ip} beside the script: ${error.message}`),
        );
      }, stop_patience_ms);
      try {
        await run(params, 'stop');
      } catch (error) {
        problem = error;
      } finally {
        clearTimeout(impatient);
      }
      const left = await held(params);
      if (problem === null && left.length === 0) return;
      removed += await removeDirectly(params);
      const still = await held(params);
      const why =
        problem === null
          ? 'it succeeded, but the address was still there'
          : problem instanceof Error
            ? problem.message
            : String(problem);
      const fate =
        still.length > 0
          ? `and it could not be removed directly from ${still[0]?.ifname}`
          : removed > 0
            ? 'so it was removed directly'
            : 'but the address is gone';
      const code = problem instanceof DriverError ? problem.code : 'failed';
      throw new DriverError(
        code,
        `taking the master IP ${params.ip} down by script: ${why}; ${fate}`,
        'mend the script before this host leads again',
      );
    },

    async holds(params) {
      check(params);
      return (await held(params)).length > 0;
    },
  };
}
