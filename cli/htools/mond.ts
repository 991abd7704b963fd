/**
 * The CPU load that Ganeti's monitoring daemons measured (`--mond`): from each node's daemon, or from a file
 * (`--mond-data`). What is missing is told, and nothing is then used of what was there.
 */
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { InputError } from '../../src/placement/input-error.ts';
import {
  type Collector,
  parseReport,
  parseReports,
  type Reports,
  withMeasuredLoad,
} from '../../src/placement/measured-load.ts';
import type { CommonOptions } from './options.ts';
import { Failure, fileReason, type World } from './program.ts';

const mond_port = 1815;

/** Throws {@link Failure} for a file that is none, and, if that was asked for, where anything is missing. */
export async function addMeasuredLoad(
  cluster: PlacementCluster,
  options: CommonOptions,
  world: World,
): Promise<PlacementCluster> {
  if (!options.mond || options.ignore_utilisation) return cluster;
  const collector: Collector = options.mond_xen ? 'xen-cpu-avg-load' : 'cpu-avg-load';
  const reports =
    options.mond_file === null
      ? await askNodes(cluster, collector, world)
      : readFile(options.mond_file, collector, world);
  const measured = withMeasuredLoad(cluster, collector, reports);
  if ('cluster' in measured) return measured.cluster;
  world.err(`${measured.missing}\n`);
  if (options.mond_exit_on_missing) throw new Failure('Not all required data available');
  return cluster;
}

function readFile(path: string, collector: Collector, world: World): Reports {
  let text: string;
  try {
    text = world.readFile(path);
  } catch (error) {
    throw new Failure(`${path}: ${fileReason(error)}`);
  }
  try {
    return parseReports(text, collector);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new Failure(`can't parse MonD data: ${error.message}`);
  }
}

/** All at once: one that does not answer is not waited for by the others. */
async function askNodes(cluster: PlacementCluster, collector: Collector, world: World): Promise<Reports> {
  const answers = await Promise.all(
    cluster.nodes.map(async ({ name }) => {
      try {
        const answer = await world.get(`http://${name}:${mond_port}/1/report/default/${collector}`);
        return { name, data: parseReport(answer, name), failed: false };
      } catch {
        return { name, data: null, failed: true };
      }
    }),
  );
  for (const { name } of answers.filter(({ failed }) => failed)) {
    world.err(`Failed to contact node's ${name} MonD for DC ${collector}\n`);
  }
  return new Map(answers.map(({ name, data }) => [name, data]));
}
