/**
 * The agent of this host, for an htool (cli/htools/agent.ts): over the same connection, with the same retries, as the
 * commands of `skein`.
 */
import type { Job } from '../src/config/model.ts';
import { ApiCallError } from '../src/node/api-client.ts';
import type { PlacementCluster } from '../src/placement/cluster.ts';
import { CliError } from './exit-status.ts';
import { type Agent, AgentError, type EndedJob } from './htools/agent.ts';
import { opError } from './job-text.ts';
import { followJob, JobView } from './job-view.ts';
import { Session } from './session.ts';
import { processTerminal } from './terminal.ts';

/** @param socket null: where `skein` would look for it. */
export function openAgent(socket: string | null): Agent {
  return agentOf(new Session(processTerminal(), socket === null ? {} : { socket }));
}

/** The session ends with the agent. */
export function agentOf(session: Session): Agent {
  const { terminal } = session;
  const state = { detached: false };
  return {
    cluster: () => said(async () => byName((await session.call('placement.cluster', {})).cluster)),
    upOf: (names) =>
      said(async () => {
        const rows = await session.query('instance', names, false, ['name', 'admin_state', 'oper_state']);
        return rows
          .filter((row) => row.admin_state === 'up' || row.oper_state === true)
          .map((row) => String(row.name));
      }),
    submit: (jobs) =>
      said(async () => {
        const time_ns = terminal.now_ms() * 1_000_000;
        const answer = await session.callAgain('submit', {
          request_id: process.getBuiltinModule('node:crypto').randomUUID(),
          jobs: jobs.map(({ ops, priority, reason }) => ({
            ops,
            priority,
            reason: [['hbal', reason, time_ns] as const],
          })),
        });
        return answer.jobs;
      }),
    ended: (id) =>
      said(async () => {
        const watched = await followJob(session, id, new JobView(terminal, false), state);
        if (watched.type === 'ended') return endOf(watched.job);
        throw new AgentError(`job ${id} is not watched any more: it may go on`);
      }),
    async close() {
      state.detached = true;
      await session.end();
    },
  };
}

function endOf({ id, status, ops }: Job): EndedJob {
  if (status === 'success') return { id, status, problem: null };
  if (status === 'canceled') return { id, status, problem: 'was canceled' };
  const failed = ops.find((op) => op.status === 'error');
  return { id, status: 'error', problem: (failed && opError(failed)) ?? 'no reason given' };
}

/** In one error, whoever says no. */
async function said<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ApiCallError || error instanceof CliError)) throw error;
    throw new AgentError(error.next === '' ? error.message : `${error.message}; try: ${error.next}`);
  }
}

/** The engine has its nodes in an order of its own; people, and Ganeti, by name. */
function byName(cluster: PlacementCluster): PlacementCluster {
  const order = [...cluster.nodes.keys()].sort((a, b) =>
    cluster.nodes[a]!.name < cluster.nodes[b]!.name ? -1 : 1,
  );
  const place = new Map(order.map((before, now) => [before, now]));
  const instances = cluster.instances
    .map((instance) => ({
      ...instance,
      primary: place.get(instance.primary)!,
      secondary: place.get(instance.secondary) ?? -1,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return { ...cluster, nodes: order.map((at) => cluster.nodes[at]!), instances };
}
