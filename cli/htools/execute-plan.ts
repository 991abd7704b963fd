/**
 * `hbal -X`: carries a plan out, by jobs of the cluster that it was made for. A set of jobs is submitted at once, and the
 * next one only when all jobs of it have ended well. Interrupted (SIGINT) it ends after the set that runs; at SIGTERM, or
 * interrupted again, at once, and the jobs go on.
 *
 * Never: a job that stops an instance that runs, unless `--allow-restart` was given; a first job when any move of the plan
 * has none. What is printed is Ganeti's.
 */
import type { OpInput } from '../../src/config/model.ts';
import type { Step } from '../../src/placement/balance.ts';
import { isRunning, type PlacementCluster } from '../../src/placement/cluster.ts';
import { splitJobsets } from '../../src/placement/jobsets.ts';
import { FAILOVER, FAILOVER_TO_ANY } from '../../src/placement/moves.ts';
import type { Table } from '../../src/placement/table.ts';
import { type Agent, AgentError, type EndedJob } from './agent.ts';
import type { CommonOptions } from './options.ts';
import { Failure, skein_version, type World } from './program.ts';

/** Of a move. */
interface Planned {
  readonly instance: string;
  /** null: there is none, and `problem` says why. */
  readonly op: OpInput | null;
  readonly problem: string;
}

type JobSet = readonly Planned[];

const priorities: Readonly<Record<string, number>> = { low: 10, normal: 0, high: -10 };

/** To the exit status; throws {@link Failure}. */
export async function executePlan(
  options: CommonOptions,
  socket: string,
  world: World,
  { cluster, rules }: Table,
  steps: readonly Step[],
): Promise<number> {
  const all = splitJobsets(steps, rules?.rules ?? null);
  const sets = (options.first_job_group ? all.slice(0, 1) : all).map((set) =>
    set.map((step) => planned(step, cluster, options.allow_restart)),
  );
  const problems = new Set(
    sets.flat().flatMap(({ instance, op, problem }) => (op === null ? [`  ${instance}: ${problem}\n`] : [])),
  );
  if (problems.size > 0) {
    throw new Failure(
      `hbal: nothing was submitted, since of some moves no job can be made:\n${[...problems].join('')}`,
    );
  }
  const run: Run = { options, world, sets, stop: false, running: [] };
  const at_once = Promise.withResolvers<number>();
  const endNow = (): void => {
    world.out('Double cancel request, exiting now...\n');
    if (run.running.length > 0) world.out(`Jobs that go on: ${run.running.join(',')}\n`);
    at_once.resolve(2);
  };
  const undo = [
    world.onSignal('SIGTERM', endNow),
    world.onSignal('SIGINT', () => {
      if (run.stop) return endNow();
      run.stop = true;
      world.out('Cancel request registered, will exit at the end of the current job set...\n');
    }),
  ];
  let agent: Agent | null = null;
  try {
    agent = await world.openAgent(socket === '' ? null : socket);
    return await Promise.race([runSets(run, agent), at_once.promise]);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    const jobs =
      run.running.length === 0 ? '' : `, while these jobs were under way: ${run.running.join(',')}`;
    throw new Failure(`hbal: ${error.message}${jobs}`);
  } finally {
    for (const takeBack of undo) takeBack();
    await agent?.close();
  }
}

/** A job for a move: only where roles, not disks, move, and without a stop that nobody allowed. */
function planned(step: Step, { instances, nodes }: PlacementCluster, allow_restart: boolean): Planned {
  const { name, uuid, status } = instances[step.instance]!;
  const refused = (problem: string): Planned => ({ instance: name, op: null, problem });
  if (step.kind !== FAILOVER && step.kind !== FAILOVER_TO_ANY)
    return refused('its disks would be copied to another node (replace-disks), which is not there yet');
  const target = nodes[step.primary]!;
  if (isRunning(status) && !allow_restart) {
    return refused(
      'it runs, and live migration is not there yet: expected --allow-restart, which stops it and starts it on ' +
        `${target.name}, or an instance that is down`,
    );
  }
  const op = {
    OP_ID: 'OP_INSTANCE_FAILOVER',
    instance_name: name,
    instance_uuid: uuid,
    target_node: target.name,
    target_node_uuid: target.uuid,
    // Somebody may start it in the moment before.
    ...(allow_restart ? {} : { allow_restart }),
  };
  return { instance: name, op, problem: '' };
}

interface Run {
  readonly options: CommonOptions;
  readonly world: World;
  readonly sets: readonly JobSet[];
  /** After the set that runs. */
  stop: boolean;
  /** Jobs of that set. */
  running: readonly number[];
}

async function runSets(run: Run, agent: Agent): Promise<number> {
  const { options, world, sets } = run;
  const priority = priorities[options.priority ?? 'normal']!;
  const reason = options.reason ?? `hbal ${skein_version} called`;
  const done: string[] = [];
  for (const [at, set] of sets.entries()) {
    if (run.stop) {
      endEarly(world, done, sets.slice(at));
      return 0;
    }
    if (!options.allow_restart) await needDown(set, agent);
    run.running = await agent.submit(set.map(({ op }) => ({ ops: [op!], priority, reason })));
    world.out(`Got job IDs ${run.running.join(',')}\n`);
    const ended: EndedJob[] = [];
    for (const id of run.running) ended.push(await agent.ended(id));
    run.running = [];
    needSuccess(world, set, ended);
    const states = ended.map(({ id, status }) => `(${id},${statusName(status)})`);
    done.push(`(${JSON.stringify(setTitle(set))},[${states.join(',')}])`);
  }
  return 0;
}

/** The plan is as old as the sets before this one took: whoever started an instance meanwhile wants it to run. */
async function needDown(set: JobSet, agent: Agent): Promise<void> {
  const up = await agent.upOf(set.map(({ instance }) => instance));
  if (up.length === 0) return;
  throw new Failure(
    `hbal: up by now, and a move would stop it: ${up.join(', ')}: expected hbal once more, or --allow-restart\nAborting.\n`,
  );
}

function needSuccess(world: World, set: JobSet, ended: readonly EndedJob[]): void {
  const failures = ended.filter(({ status }) => status !== 'success');
  if (failures.length === 0) return;
  for (const [at, { id, problem }] of ended.entries()) {
    if (problem !== null) world.err(`job ${id} (${set[at]!.instance}): ${problem}\n`);
  }
  const states = failures.map(({ id, status }) => `(JobId {fromJobId = ${id}},${statusName(status)})`);
  throw new Failure(`hbal: Not all jobs completed successfully: [${states.join(',')}]\nAborting.\n`);
}

function endEarly(world: World, done: readonly string[], left: readonly JobSet[]): void {
  const titles = left.map((set) => JSON.stringify(setTitle(set)));
  world.out(
    `Exiting early due to user request, \n${done.length}jobset(s) submitted: \n[${done.join(',')}]\n` +
      `${left.length} jobset(s) not submitted:\n[${titles.join(',')}]\n`,
  );
}

const setTitle = (set: JobSet): string =>
  `Executing jobset for instances ${set.map(({ instance }) => instance).join(',')}`;

const statusName = (status: EndedJob['status']): string => `JOB_STATUS_${status.toUpperCase()}`;
