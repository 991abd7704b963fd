/**
 * Founding a cluster on this host: everything is checked before anything is written, and `member.json` comes last, so
 * that a crash on the way leaves a host that is in no cluster.
 */
import { z } from 'zod';
import type { IPolicy } from '../config/model.ts';
import { createState } from '../config/state.ts';
import { bootstrapLog } from '../consensus/index.ts';
import type { AgentOptions } from './agent-options.ts';
import { ApiFailure } from './api-server.ts';
import type { ClusterInitParams } from './api-types.ts';
import type { Host } from './host.ts';
import { initCommand } from './init-command.ts';
import { type MemberFile, writeMemberFile } from './member-file.ts';
import { ownAddresses, primaryIp } from './own-address.ts';
import type { Env } from './real-env.ts';

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const init_schema = z.object({
  cluster_name: z.string().min(1).max(255),
  node_name: z.string().min(1).max(255),
  primary_ip: z.string(),
  master_ip: z.string(),
  master_netdev: z.string(),
  master_netmask: z.number(),
  enabled_hypervisors: z.array(z.string()),
  enabled_disk_templates: z.array(z.string()),
  file_storage_dir: z.string(),
  shared_file_storage_dir: z.string(),
  nicparams: z.record(z.string(), z.string()),
  hvparams: z.record(z.string(), z.record(z.string(), scalar)),
  ha: z.record(z.string(), z.union([z.string(), z.number()])),
  candidate_pool_size: z.number().int().min(1).max(100),
  /** The state looks into it when it is applied on trial. */
  ipolicy: z.exactOptional(z.custom<Partial<IPolicy>>((value) => typeof value === 'object')),
});
export interface FoundingDeps {
  readonly options: AgentOptions;
  readonly env: Env;
  readonly host: Host;
  readonly boot: number;
}

/** Writes what makes this host the first member. @throws ApiFailure `invalid` naming the parameter, with nothing changed. */
export async function found(deps: FoundingDeps, params: unknown): Promise<MemberFile> {
  const { options, env, host } = deps;
  const parsed = init_schema.safeParse(params);
  if (!parsed.success) {
    throw new ApiFailure(
      'invalid',
      `cluster.init: ${z.prettifyError(parsed.error)}`,
      'skein cluster init --help',
    );
  }
  const wanted: ClusterInitParams = parsed.data;
  primaryIp(options);
  const cluster_uuid = env.uuid();
  const node_uuid = env.uuid();
  const addresses = [...ownAddresses(options)];
  const command = initCommand(wanted, {
    time: env.wall_s(),
    cluster_uuid,
    group_uuid: env.uuid(),
    node_uuid,
    peer_id: host.peer_id,
    addresses,
    boot: deps.boot,
  });
  // Applied on trial: what the state would refuse later must change nothing now.
  const trial = createState().apply(1, command);
  if (!trial.ok) throw new ApiFailure('invalid', trial.error.message, 'skein cluster init --help');
  await host.wipe();
  await bootstrapLog(await host.openLogDisk(), {
    voters: [1],
    learners: [],
    voters_outgoing: [],
    learners_next: [],
    auto_leave: false,
  });
  const file: MemberFile = {
    version: 1,
    cluster_uuid,
    cluster_name: wanted.cluster_name,
    generation: 1,
    member: 1,
    node_uuid,
    node_name: wanted.node_name,
    peers: [{ member: 1, peer_id: host.peer_id, addresses }],
    pending_init: command,
  };
  await writeMemberFile(host.membership, file);
  return file;
}
