/**
 * The nodes of the replicated state as the choice of voters sees them.
 */
import type { StateView } from '../../config/api.ts';
import { failureDomains } from './domains.ts';
import type { VoterNode } from './view.ts';

/** Empty as long as the cluster is not founded. */
export function voterNodes(state: Pick<StateView, 'get' | 'list'>): readonly VoterNode[] {
  const cluster_tags = state.get('cluster', 'cluster')?.tags ?? [];
  return state.list('nodes').map((node) => ({
    member: node.member,
    name: node.name,
    master_capable: node.master_capable,
    vm_capable: node.vm_capable,
    master_candidate: node.master_candidate,
    offline: node.offline,
    drained: node.drained,
    domains: failureDomains(cluster_tags, {
      tags: node.tags,
      group: state.get('groups', node.group)?.name ?? node.group,
    }),
    // Neither disk latency nor a clock's quality is reported by the nodes yet.
    trouble: '',
  }));
}
