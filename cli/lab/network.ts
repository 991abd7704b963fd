/**
 * The lab's network: one namespace with a bridge for the switch, one for each host with its own bridge br0 joined to
 * the switch by a pair of veths, one for a client. Touches nothing outside namespaces of this lab's name.
 */
import { existsSync, readdirSync } from 'node:fs';
import { CliError } from '../exit-status.ts';
import { type NodeLayout, namespaceFile, namespaceName } from './layout.ts';
import type { Cut, LabRecord } from './record.ts';
import { runTool, ToolError } from './run-tool.ts';

const table = 'bridge skein_lab';

function inNamespace(namespace: string, lines: readonly string[]): Promise<string> {
  return runTool(['ip', '-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

export function switchNamespace(record: Pick<LabRecord, 'hash'>): string {
  return namespaceName(record.hash, 'sw');
}

/** Namespaces of a lab, also of one that was made in part only. */
export function labNamespaces(hash: string): readonly string[] {
  if (!existsSync('/run/netns')) return [];
  return readdirSync('/run/netns').filter((name) => name.startsWith(`sk${hash}-`));
}

async function addNamespace(namespace: string): Promise<boolean> {
  if (existsSync(namespaceFile(namespace))) return false;
  await runTool(['ip', 'netns', 'add', namespace]);
  return true;
}

async function deleteLink(namespace: string, link: string): Promise<void> {
  try {
    await runTool(['ip', '-n', namespace, 'link', 'del', link]);
  } catch (error) {
    if (!(error instanceof ToolError && /Cannot find device/.test(error.stderr))) throw error;
  }
}

async function links(namespace: string): Promise<readonly string[]> {
  const text = await runTool(['ip', '-n', namespace, '-j', 'link', 'show']);
  return (JSON.parse(text) as { ifname: string }[]).map(({ ifname }) => ifname);
}

/** Makes what is missing; namespaces that are whole stay as they are. */
export async function ensureNetwork(record: LabRecord): Promise<void> {
  const sw = switchNamespace(record);
  await addNamespace(sw);
  if (!(await links(sw)).includes('sw0')) {
    await inNamespace(sw, ['link set lo up', 'link add sw0 type bridge mcast_snooping 0', 'link set sw0 up']);
  }
  for (const node of record.nodes) {
    if (node.namespace !== null) await ensureHost(sw, node.namespace, node);
  }
  if (record.client === null) return;
  const { namespace, address } = record.client;
  await addNamespace(namespace);
  if ((await links(namespace)).includes('up0')) return;
  await deleteLink(sw, 'pcl');
  await inNamespace(namespace, [
    'link set lo up',
    `link add up0 type veth peer name pcl netns ${sw}`,
    'link set up0 up',
    `addr add ${address}/24 dev up0`,
    `addr add fd77::250/64 dev up0 nodad`,
  ]);
  await inNamespace(sw, ['link set pcl master sw0', 'link set pcl up']);
  await untilForwarding(sw, 'pcl');
}

async function ensureHost(sw: string, namespace: string, node: NodeLayout): Promise<void> {
  await addNamespace(namespace);
  const present = await links(namespace);
  if (present.includes('up0') && present.includes('br0')) return;
  for (const link of ['up0', 'br0']) if (present.includes(link)) await deleteLink(namespace, link);
  await deleteLink(sw, node.port);
  await inNamespace(namespace, [
    'link set lo up',
    `link add br0 address ${node.mac} type bridge mcast_snooping 0`,
    `link add up0 type veth peer name ${node.port} netns ${sw}`,
    'link set br0 up',
    'link set up0 master br0',
    'link set up0 up',
    ...addressLines(node),
  ]);
  await inNamespace(sw, [`link set ${node.port} master sw0`, `link set ${node.port} up`]);
  await untilForwarding(sw, node.port);
  await untilForwarding(namespace, 'up0');
}

function addressLines(node: NodeLayout): readonly string[] {
  return [`addr add ${node.address}/24 dev br0`, `addr add ${node.address6}/64 dev br0 nodad`];
}

/** As after a reboot: guests' interfaces and added addresses (the master IP) are gone. */
export async function resetHostNetwork(node: NodeLayout): Promise<void> {
  if (node.namespace === null) return;
  for (const link of await links(node.namespace)) {
    if (!['lo', 'br0', 'up0'].includes(link)) await deleteLink(node.namespace, link);
  }
  await inNamespace(node.namespace, ['addr flush dev br0', ...addressLines(node)]);
}

/** The host's port on the switch. Up: resolves when both ends forward, which the kernel may put off for a second. */
export async function setPort(record: LabRecord, node: NodeLayout, up: boolean): Promise<void> {
  if (node.namespace === null) return;
  const sw = switchNamespace(record);
  await inNamespace(sw, [`link set ${node.port} ${up ? 'up' : 'down'}`]);
  if (!up) return;
  await untilForwarding(sw, node.port);
  await untilForwarding(node.namespace, 'up0');
}

const forwarding_timeout_ms = 5_000;

async function untilForwarding(namespace: string, port: string): Promise<void> {
  const deadline = Date.now() + forwarding_timeout_ms;
  for (;;) {
    const text = await runTool(['ip', '-n', namespace, '-j', '-d', 'link', 'show', 'dev', port]);
    const [link] = JSON.parse(text) as { linkinfo?: { info_slave_data?: { state?: string } } }[];
    const state = link?.linkinfo?.info_slave_data?.state;
    if (state === 'forwarding') return;
    if (Date.now() > deadline) {
      throw new CliError(
        `port ${port} of ${namespace} is ${state ?? 'on no bridge'} after ${forwarding_timeout_ms} ms, not forwarding`,
        'skein lab down, then up again',
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Our own table with one set for each direction: rules that others made in the switch stay as they are. */
const rules = [
  `add table ${table}`,
  `add set ${table} cut_in { type ifname; }`,
  `add set ${table} cut_out { type ifname; }`,
  `add chain ${table} forward { type filter hook forward priority -200; policy accept; }`,
  `flush chain ${table} forward`,
  `add rule ${table} forward oifname @cut_in drop`,
  `add rule ${table} forward iifname @cut_out drop`,
];

function element(verb: 'add' | 'delete', set: 'cut_in' | 'cut_out', port: string): string {
  return `${verb} element ${table} ${set} { "${port}" }`;
}

/** `in`: nothing reaches the host; `out`: nothing it sends gets anywhere; `both`: its port is down. */
export async function setCut(record: LabRecord, node: NodeLayout, cut: Cut, powered: boolean): Promise<void> {
  const sw = switchNamespace(record);
  const one_way = cut === 'in' || cut === 'out';
  const known = one_way || existsTable(await listTables(sw));
  if (known) {
    const change = (set: 'cut_in' | 'cut_out', on: boolean): readonly string[] =>
      on
        ? [element('add', set, node.port)]
        : [element('add', set, node.port), element('delete', set, node.port)];
    const lines = [...rules, ...change('cut_in', cut === 'in'), ...change('cut_out', cut === 'out')];
    await nft(sw, ['-f', '-'], `${lines.join('\n')}\n`);
  }
  await setPort(record, node, powered && cut !== 'both');
}

function nft(namespace: string, args: readonly string[], input = ''): Promise<string> {
  return runTool(['nsenter', `--net=${namespaceFile(namespace)}`, '--', 'nft', ...args], { input });
}

function existsTable(text: string): boolean {
  return text.split('\n').includes(`table ${table}`);
}

/** '' when there is no nft: then no one-way cut was ever made. */
async function listTables(namespace: string): Promise<string> {
  try {
    return await nft(namespace, ['list', 'tables']);
  } catch (error) {
    if (error instanceof ToolError && /No such file/.test(error.stderr)) return '';
    throw error;
  }
}

/** Removes every namespace of the lab; interfaces go with them. */
export async function removeNetwork(hash: string): Promise<void> {
  for (const namespace of labNamespaces(hash)) await runTool(['ip', 'netns', 'del', namespace]);
}
