/**
 * The cluster that a command line names: from a file (`-t`), a remote API (`-m`), an agent of a Skein cluster (`-L`), an
 * allocator's request (`-I`) or a description (`--simulate`); with what was measured of instances (`-U`, `--mond`); as a table with the nodes that are
 * to count as offline (`-O`) and the limits asked for.
 */
import type { PlacementCluster, Utilisation } from '../../src/placement/cluster.ts';
import { inconsistencies } from '../../src/placement/inconsistencies.ts';
import { InputError } from '../../src/placement/input-error.ts';
import { parseRapiCluster } from '../../src/placement/rapi-format.ts';
import type { PlacementRules } from '../../src/placement/rules.ts';
import { clusterDomain, shortName } from '../../src/placement/short-names.ts';
import { buildTable, type Table } from '../../src/placement/table.ts';
import { readRules } from '../../src/placement/table-rules.ts';
import { parseTextCluster } from '../../src/placement/text-format.ts';
import { parseUtilisation, withoutUtilisation, withUtilisation } from '../../src/placement/utilisation.ts';
import { AgentError } from './agent.ts';
import { addMeasuredLoad } from './mond.ts';
import type { CommonOptions } from './options.ts';
import { Failure, fileReason, type World } from './program.ts';

const default_rapi_port = 5080;

export interface Loaded {
  readonly cluster: PlacementCluster;
  /** Instances that must not be moved, by index. */
  readonly fixed: ReadonlySet<number>;
}

/** Reads a cluster, and warns of what does not add up in it. Throws {@link Failure}. */
export async function loadCluster(options: CommonOptions, world: World): Promise<Loaded> {
  const sources = [options.rapi, options.luxi, options.text_file].filter((source) => source !== null);
  if (sources.length > 1) {
    throw new Failure('Only one of the rapi, luxi, and data files options should be given.');
  }
  const measured = readUtilisation(options, world);
  try {
    const read = await readCluster(options, world);
    const used = options.ignore_utilisation ? withoutUtilisation(read) : withUtilisation(read, measured);
    const cluster = await addMeasuredLoad(used, options, world);
    const fixed = fixedInstances(options, cluster);
    if (options.verbosity !== 0) warn(world, inconsistencies(cluster));
    return { cluster, fixed };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new Failure(`failed to load data, aborting: ${error.message}`);
  }
}

async function readCluster(options: CommonOptions, world: World): Promise<PlacementCluster> {
  if (options.rapi !== null) return readRapi(options.rapi, options, world);
  if (options.luxi !== null) return readAgent(options.luxi, world);
  if (options.simulate.length > 0) {
    return (await import('../../src/placement/simulated-cluster.ts')).simulateCluster(
      options.simulate.toReversed(),
    );
  }
  if (options.text_file !== null) return parseTextCluster(read(world, options.text_file));
  if (options.iallocator_file !== null) return readRequest(options, world, options.iallocator_file);
  throw new Failure('failed to load data, aborting: No backend selected! Exiting.');
}

/** Only hail and `-I` need that format: it is not loaded otherwise. */
async function readRequest(options: CommonOptions, world: World, path: string): Promise<PlacementCluster> {
  const { parseAllocatorInput } = await import('../../src/placement/iallocator-format.ts');
  return parseAllocatorInput(read(world, path), {
    kvm_node_memory_mib: options.static_kvm_node_memory_mib,
  }).cluster;
}

function read(world: World, path: string): string {
  try {
    return world.readFile(path);
  } catch (error) {
    throw new Failure(`failed to load data, aborting: ${path}: ${fileReason(error)}`);
  }
}

async function readAgent(socket: string, world: World): Promise<PlacementCluster> {
  try {
    const agent = await world.openAgent(socket === '' ? null : socket);
    try {
      return await agent.cluster();
    } finally {
      await agent.close();
    }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw new Failure(`failed to load data, aborting: ${error.message}`);
  }
}

async function readRapi(address: string, options: CommonOptions, world: World): Promise<PlacementCluster> {
  const [info, groups, nodes, instances, networks] = address.startsWith('file://')
    ? ['info', 'groups', 'nodes', 'instances'].map((name) =>
        parseJson(read(world, `${address.slice('file://'.length)}/${name}.json`), `${name}.json`),
      )
    : await askRapi(address, world);
  return parseRapiCluster(
    { info, groups, nodes, instances, ...(networks === undefined ? {} : { networks }) },
    options,
  );
}

/** An address without a colon is a host. */
async function askRapi(address: string, world: World): Promise<readonly unknown[]> {
  const base = address.includes(':') ? address : `https://${address}:${default_rapi_port}`;
  const paths = [
    '/2/info',
    '/2/groups?bulk=1',
    '/2/nodes?bulk=1',
    '/2/instances?bulk=1',
    '/2/networks?bulk=1',
  ];
  const answers: unknown[] = [];
  for (const path of paths) {
    const url = `${base.replace(/\/$/, '')}${path}`;
    let body: string;
    try {
      body = await world.get(url);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Failure(`failed to load data, aborting: ${url}: ${reason}`);
    }
    answers.push(parseJson(body, url));
  }
  return answers;
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(where, `no JSON: ${reason}`, 'the answer of a remote API');
  }
}

function readUtilisation(options: CommonOptions, world: World): ReadonlyMap<string, Utilisation> {
  if (options.utilisation_file === null) return new Map();
  try {
    return parseUtilisation(world.readFile(options.utilisation_file));
  } catch (error) {
    if (error instanceof InputError) throw new Failure(`can't parse utilisation data: ${error.message}`);
    throw new Failure(`${options.utilisation_file}: ${fileReason(error)}`);
  }
}

/** A name, or the beginning of one up to a dot, if only one begins so; -1: none, or several. */
function lookUp(names: readonly string[], wanted: string): number {
  const exact = names.indexOf(wanted);
  if (exact !== -1) return exact;
  const partial = names.flatMap((name, at) => (name.startsWith(`${wanted}.`) ? [at] : []));
  return partial.length === 1 ? partial[0]! : -1;
}

function fixedInstances(options: CommonOptions, cluster: PlacementCluster): ReadonlySet<number> {
  const names = cluster.instances.map(({ name }) => name);
  const unknown: string[] = [];
  const find = (wanted: readonly string[]): ReadonlySet<number> =>
    new Set(
      wanted.map((name) => {
        const at = lookUp(names, name);
        if (at === -1) unknown.push(name);
        return at;
      }),
    );
  const selected = find(options.selected_instances);
  const excluded = find(options.excluded_instances);
  if (unknown.length > 0) {
    const list = unknown.map((name) => JSON.stringify(name)).join(',');
    throw new Failure(`failed to load data, aborting: Unknown instance(s): [${list}]`);
  }
  return new Set(
    names.map((_, at) => at).filter((at) => excluded.has(at) || (selected.size > 0 && !selected.has(at))),
  );
}

/** Skein's own rules, of which clusters of others have none; warns of tags that nobody knows. Throws {@link Failure}. */
export function rulesOf(world: World, cluster: PlacementCluster): PlacementRules | null {
  const read = readRules(cluster);
  if ('errors' in read) throw new Failure(read.errors.map(({ text }) => text).join('\n'));
  for (const text of read.warnings) world.err(`Warning: ${text}\n`);
  return read.rules;
}

/**
 * The table of a cluster, with the nodes and limits of the command line. Throws {@link Failure}.
 * @param rules what its moves are to keep to; null: Ganeti's alone
 */
export function openTable(
  cluster: PlacementCluster,
  options: CommonOptions,
  rules: PlacementRules | null,
): Table {
  const names = cluster.nodes.map(({ name }) => name);
  const found = options.offline_nodes.map((name) => ({ name, at: lookUp(names, name) }));
  const wrong = found.filter(({ at }) => at === -1);
  if (wrong.length > 0) {
    const list = wrong.map(({ name }) => name).join(', ');
    throw new Failure(`wrong node name(s) set as offline: ${list}\n`);
  }
  return buildTable(cluster, {
    exclusion_tags: (options.exclusion_tags ?? []).map((tag) => `${tag}:`),
    offline: new Set(found.map(({ at }) => at)),
    max_cpu: options.max_cpu,
    min_disk: options.min_disk,
    rules,
  });
}

/** That a cluster does not add up. */
export function warn(world: World, texts: readonly string[]): void {
  if (texts.length === 0) return;
  world.err(`Warning: cluster has inconsistent data:\n${texts.map((text) => `  - ${text}\n`).join('')}\n`);
}

/** Names of nodes and instances without the domain that all share. */
export interface Aliases {
  readonly domain: string;
  readonly nodes: readonly string[];
  readonly instances: readonly string[];
}

export function aliasesOf(cluster: PlacementCluster): Aliases {
  const domain = clusterDomain(cluster);
  return {
    domain,
    nodes: cluster.nodes.map(({ name }) => shortName(name, domain)),
    instances: cluster.instances.map(({ name }) => shortName(name, domain)),
  };
}
