/**
 * Whether this host may forget its cluster: only when the cluster has forgotten it, or by force.
 */
import { z } from 'zod';
import { ApiFailure } from './api-server.ts';
import type { Member } from './member.ts';

const leave_ask_timeout_ms = 3_000;

/** @throws ApiFailure `invalid` */
export function parseLeave(params: Record<string, unknown>): { force: boolean } {
  const parsed = z.object({ force: z.boolean().optional() }).safeParse(params);
  if (parsed.success) return { force: parsed.data.force === true };
  throw new ApiFailure(
    'invalid',
    `cluster.leave: ${z.prettifyError(parsed.error)}`,
    'skein node leave --help',
  );
}

/**
 * Leaving is for a host that its cluster has removed; as long as the cluster knows it, it is removed from there.
 * @throws ApiFailure `refused`, also when the cluster cannot be asked.
 */
export async function refuseWhileKnown(member: Member): Promise<void> {
  const { cluster_name, node_name } = member.file;
  try {
    await member.readBarrier(leave_ask_timeout_ms, false);
  } catch (error) {
    throw new ApiFailure(
      'refused',
      `cluster ${cluster_name} cannot be asked whether it still knows this host: ${(error as Error).message}`,
      'if it was removed there: skein node leave --force',
    );
  }
  if (member.state.get('nodes', member.node_uuid))
    throw new ApiFailure(
      'refused',
      `cluster ${cluster_name} still knows this host as ${node_name}`,
      `skein node remove ${node_name}`,
    );
}
