/**
 * A lab: a cluster of several agents on this one machine, to try and to hurt. As root each host is a network
 * namespace; otherwise a loopback address. The library form of `skein lab`, for tests, benchmarks and demonstrations.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SpecRange } from '../../src/config/model.ts';
import { ApiCallError, type CallOptions, connectApi } from '../../src/node/api-client.ts';
import type { ApiMethods, ClusterInitParams } from '../../src/node/api-types.ts';
import { CliError, usageError } from '../exit-status.ts';
import { packageRoot, startHost, waitForAgent } from './host.ts';
import { canonicalDir, labHash, most_nodes, type NodeLayout, namespaceName, nodeLayout } from './layout.ts';
import { ensureNetwork, labNamespaces, setCut } from './network.ts';
import { isAlive } from './proc.ts';
import { writeOobProgram, writeRebootProgram } from './reboot-program.ts';
import {
  type LabRecord,
  loadRecord,
  loadState,
  machineBootId,
  newBootId,
  saveRecord,
  saveState,
} from './record.ts';
import { runTool } from './run-tool.ts';

export type LabLog = (line: string) => void;

export interface LabOptions {
  /** Default `./.lab`. */
  readonly dir?: string;
  readonly nodes?: number;
  /** `scaled`: short leases for tests. */
  readonly lease?: 'scaled' | 'default';
  readonly hypervisor?: 'kvm' | 'fake';
  readonly master_ip?: string;
  /** false: the hosts are up but in no cluster. */
  readonly init?: boolean;
  /** false: loopback addresses even as root. */
  readonly namespaces?: boolean;
  /** Instead of bin/skeind (tests). */
  readonly daemon?: readonly string[];
  readonly log?: LabLog;
}

/** A host of the lab. */
export interface LabNode extends NodeLayout {
  /** One call on its agent's API, over a connection of its own. */
  call<M extends keyof ApiMethods>(
    method: M,
    params: ApiMethods[M]['params'],
    options?: CallOptions,
  ): Promise<ApiMethods[M]['result']>;
}

export interface Lab {
  readonly dir: string;
  readonly record: LabRecord;
  readonly nodes: readonly LabNode[];
  /** Namespace of a host that is no member. */
  readonly client: { readonly namespace: string; readonly address: string } | null;
  readonly master_ip: string;
  /** By name (`n1`). Throws when there is none. */
  node(name: string): LabNode;
}

function labNode(layout: NodeLayout): LabNode {
  return {
    ...layout,
    call: async (method, params, options) => {
      const client = await connectApi(layout.socket);
      try {
        return await client.call(method, params, options);
      } finally {
        client.close();
      }
    },
  };
}

function asLab(record: LabRecord): Lab {
  const nodes = record.nodes.map(labNode);
  return {
    dir: record.dir,
    record,
    nodes,
    client: record.client,
    master_ip: record.master_ip,
    node: (name) => {
      const found = nodes.find((node) => node.name === name);
      if (found) return found;
      throw new CliError(
        `the lab in ${record.dir} has no node "${name}"`,
        `one of ${nodes.map((node) => node.name).join(', ')}`,
      );
    },
  };
}

/** The lab in a directory, running or not. Throws when there is none. */
export function openLab(dir = '.lab'): Lab {
  const path = canonicalDir(dir);
  const record = loadRecord(path);
  if (!record) throw new CliError(`there is no lab in ${path}`, 'skein lab up');
  return asLab(record);
}

function makeRecord(dir: string, options: LabOptions): LabRecord {
  const count = options.nodes ?? 3;
  if (!Number.isInteger(count) || count < 1 || count > most_nodes) {
    throw usageError(`--nodes ${count}: expected a number from 1 to ${most_nodes}`, 'skein lab up --nodes 3');
  }
  const hash = labHash(dir);
  const namespaces = options.namespaces ?? process.getuid?.() === 0;
  if (namespaces && labNamespaces(hash).length > 0) {
    throw new CliError(
      `network namespaces ${labNamespaces(hash).join(', ')} are left of an earlier lab in ${dir}`,
      `skein lab down --dir ${dir}`,
    );
  }
  return {
    version: 1,
    dir,
    hash,
    namespaces,
    hypervisor: options.hypervisor ?? 'kvm',
    lease: options.lease ?? 'default',
    master_ip: namespaces ? (options.master_ip ?? '10.77.0.100') : '',
    client: namespaces ? { namespace: namespaceName(hash, 'cl'), address: '10.77.0.250' } : null,
    nodes: Array.from({ length: count }, (_, at) => nodeLayout(dir, at + 1, namespaces)),
  };
}

function recordFor(dir: string, options: LabOptions): LabRecord {
  const known = loadRecord(dir);
  if (known) {
    if (options.nodes !== undefined && options.nodes !== known.nodes.length) {
      throw new CliError(
        `the lab in ${dir} has ${known.nodes.length} nodes, not ${options.nodes}`,
        `skein lab down, then up --nodes ${options.nodes}`,
      );
    }
    return known;
  }
  if (existsSync(dir) && readdirSync(dir).length > 0) {
    throw new CliError(`${dir} is no lab and not empty`, 'another --dir');
  }
  const record = makeRecord(dir, options);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  // First of all, so that `down` knows of whatever is made from here on.
  saveRecord(record);
  return record;
}

/** Ganeti's greatest values; the least are none, since a lab's guests are small and often have no disk or network. */
const lab_bounds: SpecRange = {
  min: {
    'memory-size': 1,
    'cpu-count': 1,
    'disk-count': 0,
    'disk-size': 1,
    'nic-count': 0,
    'spindle-use': 0,
  },
  max: {
    'memory-size': 32_768,
    'cpu-count': 8,
    'disk-count': 16,
    'disk-size': 1_048_576,
    'nic-count': 8,
    'spindle-use': 12,
  },
};

/** Parameters of the lab's cluster; storage is one directory for all, since all hosts are this machine. */
export function initParams(record: LabRecord): ClusterInitParams {
  const [first] = record.nodes;
  if (!first) throw new CliError('the lab has no nodes', 'skein lab down');
  return {
    cluster_name: 'lab',
    node_name: first.name,
    primary_ip: first.address,
    master_ip: record.master_ip,
    master_netdev: 'br0',
    master_netmask: record.master_ip.includes(':') ? 64 : 24,
    enabled_hypervisors: [record.hypervisor],
    enabled_disk_templates: ['sharedfile', 'file', 'diskless'],
    file_storage_dir: join(record.dir, 'file'),
    shared_file_storage_dir: join(record.dir, 'shared'),
    nicparams: record.namespaces ? { mode: 'bridged', link: 'br0' } : { mode: 'user', link: '' },
    hvparams: {},
    ha: record.lease === 'scaled' ? { lease: 'scaled' } : {},
    candidate_pool_size: 5,
    ipolicy: { minmax: [lab_bounds] },
  };
}

/** Starts the hosts that should run and do not. Answers whether there were any. */
async function startHosts(record: LabRecord, daemon: readonly string[], log: LabLog): Promise<boolean> {
  const boot_id = machineBootId();
  const down = record.nodes.filter((node) => {
    const state = loadState(node);
    return state.power === 'on' && (state.keeper === null || !isAlive(state.keeper));
  });
  if (down.length > 0) log(`starting ${down.map((node) => node.name).join(', ')}`);
  const started = [];
  if (down.length > 0) writeOobProgram(record.dir, record.namespaces);
  for (const node of down) {
    const state = loadState(node);
    if (!existsSync(node.boot_id_file) || state.machine_boot_id !== boot_id) newBootId(node);
    if (record.namespaces) await setCut(record, node, state.cut, true);
    writeRebootProgram(node);
    const keeper = await startHost(node, daemon);
    saveState(node, { ...state, keeper, frozen: false, machine_boot_id: boot_id });
    started.push({ node, keeper });
  }
  await Promise.all(started.map(({ node, keeper }) => waitForAgent(node, keeper)));
  return down.length > 0;
}

/** Repeats while the cluster has no leader yet. */
async function whenLed<T>(act: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const early =
        error instanceof ApiCallError && (error.code === 'no-quorum' || error.code === 'no-cluster');
      if (!early || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Until as many nodes vote as will: a host that is hurt before that may be the only voter. */
async function whenVoting(member: LabNode, nodes: number): Promise<void> {
  const wanted = Math.min(5, nodes % 2 === 1 ? nodes : nodes - 1);
  const deadline = Date.now() + 30_000;
  for (;;) {
    const { rows } = await whenLed(() => member.call('query', { resource: 'node', fields: ['voter'] }));
    if (rows.filter((row) => row.voter === true).length >= wanted) return;
    if (Date.now() > deadline)
      throw new CliError(`fewer than ${wanted} of ${nodes} nodes vote after 30 s`, 'skein lab status');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function formCluster(lab: Lab, log: LabLog): Promise<boolean> {
  let formed = false;
  const states = lab.nodes.map((node) => ({ node, on: loadState(node).power === 'on' }));
  const on = states.filter((state) => state.on).map(({ node }) => node);
  const status = await Promise.all(on.map(async (node) => ({ node, status: await node.call('status', {}) })));
  let member = status.find((known) => known.status.in_cluster)?.node ?? null;
  if (!member) {
    const [first] = on;
    if (first?.index !== 1)
      throw new CliError('n1 is off, and no host is in a cluster yet', 'skein lab power n1 on');
    log('founding the cluster on n1');
    await first.call('cluster.init', initParams(lab.record));
    member = first;
    formed = true;
  }
  for (const known of status) {
    if (known.status.in_cluster || known.node === member) continue;
    log(`${known.node.name} joins`);
    const from = member;
    const { token } = await whenLed(() =>
      from.call('token.create', { expires_s: 600, master_capable: true, vm_capable: true }),
    );
    await known.node.call(
      'cluster.join',
      { token, name: known.node.name, timeout_ms: 60_000 },
      { timeout_ms: 65_000 },
    );
    formed = true;
  }
  if (formed) await whenVoting(member, on.length);
  return formed;
}

/**
 * Brings a lab up, or what is missing of one that is up in part (after an interrupted `up`, a reboot of the machine, a
 * dead keeper); hosts that were powered off stay off.
 */
export async function labUp(
  options: LabOptions = {},
): Promise<{ readonly lab: Lab; readonly already: boolean }> {
  const log = options.log ?? (() => undefined);
  const dir = canonicalDir(options.dir ?? '.lab');
  const record = recordFor(dir, options);
  for (const shared of ['file', 'shared']) mkdirSync(join(dir, shared), { recursive: true, mode: 0o755 });
  if (record.namespaces) {
    await runTool(['ip', '-V']);
    await runTool(['nsenter', '--version']);
    const fresh = labNamespaces(record.hash).length === 0;
    await ensureNetwork(record);
    if (fresh)
      log(
        `network namespaces sk${record.hash}-sw, ${record.nodes.map((node) => node.namespace).join(', ')}, sk${record.hash}-cl`,
      );
  }
  const daemon = options.daemon ?? [join(packageRoot(), 'bin', 'skeind')];
  const started = await startHosts(record, daemon, log);
  const lab = asLab(record);
  const formed = options.init === false ? false : await formCluster(lab, log);
  return { lab, already: !started && !formed };
}
