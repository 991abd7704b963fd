/** `skein status`: what this host’s agent knows of itself, with or without a quorum. */
import type { AgentStatus } from '../src/node/api-types.ts';
import { type ExitStatus, exit_status } from './exit-status.ts';
import type { Register } from './register.ts';

/** Lines for people. */
export function statusLines(status: AgentStatus): readonly string[] {
  const head = `${status.name}: skein ${status.version}, Node ${status.node_version}`;
  const ids = `agent ${status.pid}, keeper ${status.keeper ? status.keeper_pid : 'NONE'}`;
  if (!status.in_cluster)
    return [head, ids, 'in no cluster', ...status.warnings.map((text) => `WARNING: ${text}`)];
  const lease = status.lease_valid ? `good for ${(status.lease_left_ms / 1000).toFixed(1)} s` : 'NONE';
  const up = status.peers.filter((peer) => peer.up);
  const down = status.peers.filter((peer) => !peer.up);
  return [
    head,
    ids,
    `role:    ${status.role}${status.role === 'leader' && !status.established ? ' (not yet established)' : ''}, member ${status.member}, boot ${status.boot}`,
    `leader:  ${status.leader === '' ? 'NONE KNOWN' : status.leader}, term ${status.term}${status.master_ip_held ? ', master IP held here' : ''}`,
    `log:     applied ${status.applied} of ${status.commit} committed`,
    `lease:   ${lease}`,
    `peers:   ${up.length} of ${status.peers.length} up${down.length === 0 ? '' : `; DOWN: ${down.map((peer) => peer.name).join(', ')}`}`,
    ...(status.guests.length === 0 ? ['guests:  none'] : []),
    ...status.guests.map(
      (guest, at) =>
        `${at === 0 ? 'guests:  ' : '         '}${guest.name} ${guest.state}, epoch ${guest.epoch}`,
    ),
    ...status.warnings.map((text) => `WARNING: ${text}`),
  ];
}

export const register: Register = (program, wrap) => {
  program
    .command('status')
    .description('this host’s agent: role, leader, lease, guests')
    .action(
      wrap(async (session): Promise<ExitStatus> => {
        const status = await session.call('status', {});
        if (session.globals.json) session.printJson(status);
        else session.printLines(statusLines(status));
        return status.in_cluster ? exit_status.ok : exit_status.no_cluster;
      }),
    );
};
