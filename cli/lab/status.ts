/** State of a lab's hosts: what was done to them, which processes they have, what their agents say. */

import { ApiCallError } from '../../src/node/api-client.ts';
import type { AgentStatus } from '../../src/node/api-types.ts';
import type { Session } from '../session.ts';
import { type Column, formatTable } from '../table.ts';
import { agentStatus, hostProcesses } from './host.ts';
import type { Lab } from './lab.ts';
import { isAlive } from './proc.ts';
import { type HostState, loadState } from './record.ts';

export interface LabHostStatus {
  readonly name: string;
  readonly address: string;
  readonly namespace: string | null;
  readonly socket: string;
  readonly power: HostState['power'];
  readonly cut: HostState['cut'];
  readonly frozen: boolean;
  readonly keeper_pid: number | null;
  readonly processes: number;
  /** null: it does not answer. */
  readonly agent: AgentStatus | null;
}

export async function labStatus(lab: Lab): Promise<readonly LabHostStatus[]> {
  return Promise.all(
    lab.nodes.map(async (node) => {
      const state = loadState(node);
      const alive = state.keeper !== null && isAlive(state.keeper);
      let agent: AgentStatus | null = null;
      if (alive && !state.frozen) {
        try {
          agent = await agentStatus(node, 1_000);
        } catch (error) {
          // No answer is what this column is there to show.
          if (!(error instanceof ApiCallError)) throw error;
        }
      }
      return {
        name: node.name,
        address: node.address,
        namespace: node.namespace,
        socket: node.socket,
        power: state.power,
        cut: state.cut,
        frozen: state.frozen,
        keeper_pid: alive ? (state.keeper?.pid ?? null) : null,
        processes: hostProcesses(node).length,
        agent,
      };
    }),
  );
}

function condition(host: LabHostStatus): string {
  if (host.power === 'off') return 'off';
  const words = [];
  if (host.keeper_pid === null) words.push('KEEPER DEAD');
  if (host.frozen) words.push('frozen');
  if (host.cut !== 'none') words.push(host.cut === 'both' ? 'cut' : `cut ${host.cut}`);
  return words.length === 0 ? 'on' : words.join(', ');
}

function part(agent: AgentStatus | null): string {
  if (!agent) return 'no answer';
  if (!agent.in_cluster) return 'in no cluster';
  return `${agent.role}${agent.master_ip_held ? ', master IP' : ''}`;
}

export async function printLabStatus(session: Session, lab: Lab): Promise<void> {
  const hosts = await labStatus(lab);
  if (session.globals.json) {
    session.printJson({ dir: lab.dir, master_ip: lab.master_ip, client: lab.client, hosts });
    return;
  }
  const columns = ['Host', 'Address', 'State', 'Keeper', 'Agent', 'Procs', 'Part'].map(
    (title): Column => ({
      title,
      align: title === 'Keeper' || title === 'Agent' || title === 'Procs' ? 'right' : 'left',
    }),
  );
  const rows = hosts.map((host) => [
    host.name,
    host.address,
    condition(host),
    host.keeper_pid === null ? '-' : String(host.keeper_pid),
    host.agent === null ? '-' : String(host.agent.pid),
    String(host.processes),
    host.power === 'off' ? '-' : part(host.agent),
  ]);
  session.printLines(formatTable(columns, rows, { headers: true, separator: null }));
}
