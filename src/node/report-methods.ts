/**
 * API methods that answer with a report on the whole cluster: as the leader's jobs see it, after a read that the leader
 * confirmed, worked out on a thread of this agent.
 */
import { z } from 'zod';
import { recordedChoices } from '../ops/choices.ts';
import { evacuation_modes, evacuationRefusal, planEvacuation } from '../ops/evacuation.ts';
import { needGroup, nodesToReboot } from '../ops/opcodes/lookup.ts';
import { createPlacementViewer } from '../ops/placement-view.ts';
import { OpError } from '../ops/types.ts';
import { balanceLines } from '../placement/balance-plan.ts';
import type { DiskTemplate } from '../placement/cluster.ts';
import { maintenanceLines } from '../placement/maintenance-text.ts';
import type { PlacementView } from '../placement/placement-ask.ts';
import type { Report, ReportOf } from '../placement/reports.ts';
import { ApiFailure, type ApiHandler } from './api-server.ts';
import type { ApiMethods } from './api-types.ts';
import type { Member } from './member.ts';

const read_timeout_ms = 10_000;

const capacity_schema = z.object({ disk_template: z.string().optional(), lost: z.string().optional() });
const maintenance_schema = z.object({
  nodes: z.array(z.string().max(255)).max(1_000),
  group: z.string().max(255).optional(),
  offline: z.boolean(),
  at_once: z.number().int().min(1).max(1_000).optional(),
});
const balance_schema = z.object({
  group: z.string().max(255).optional(),
  max_moves: z.number().int().min(1).max(1_000),
  min_gain: z.number().min(0),
  gain_per_gib: z.number().min(0),
  gain_per_down_s: z.number().min(0),
});
const evacuation_schema = z.object({
  node: z.string().max(255),
  to: z.string().max(255).optional(),
  mode: z.enum(evacuation_modes),
  allow_restart: z.boolean(),
});

export function reportMethods(member: Member): ReadonlyMap<string, ApiHandler> {
  const { state } = member;
  const methods = new Map<string, ApiHandler>();
  const on = <M extends keyof ApiMethods, P>(
    name: M,
    schema: z.ZodType<P>,
    handler: (params: P) => Promise<ApiMethods[M]['result']>,
  ) =>
    methods.set(name, async (params) => {
      const parsed = schema.safeParse(params);
      if (!parsed.success)
        throw new ApiFailure('invalid', `${name}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
      await member.readBarrier(read_timeout_ms, true);
      return handler(parsed.data);
    });

  function viewNow(): PlacementView {
    const live = member.liveNodes();
    return createPlacementViewer(state).view((uuid) => live.get(uuid), recordedChoices(state));
  }

  async function report<R extends Report>(ask: R): Promise<ReportOf<R>> {
    try {
      return await member.placement.report(viewNow(), ask);
    } catch (error) {
      throw new ApiFailure('unavailable', `no report: ${(error as Error).message}`);
    }
  }

  on('cluster.capacity', capacity_schema, async ({ disk_template, lost }) => {
    const enabled = state.get('cluster', 'cluster')?.enabled_disk_templates ?? [];
    const template = disk_template ?? enabled[0] ?? 'diskless';
    if (!enabled.includes(template)) {
      const text = `disk template ${JSON.stringify(template)} is not enabled: expected one of ${enabled.join(', ')}`;
      throw new ApiFailure('invalid', text, 'skein cluster info');
    }
    const node =
      lost === undefined
        ? null
        : state.list('nodes').find((candidate) => candidate.name === lost || candidate.uuid === lost);
    if (node === undefined)
      throw new ApiFailure('not-found', `node "${lost}" does not exist`, 'skein node list');
    return report({
      type: 'capacity',
      template: template as DiskTemplate,
      lost: node?.uuid ?? null,
      losses_only: node !== null,
    });
  });

  on('maintenance.plan', maintenance_schema, async ({ nodes, group, offline, at_once }) => {
    const uuids = named(() => nodesToReboot(state, nodes, group ?? null));
    const plan = await report({
      type: 'reboots',
      nodes: uuids,
      together: false,
      at_once: at_once ?? null,
      offline,
    });
    if ('problem' in plan) throw new ApiFailure('refused', plan.problem, 'skein node list');
    return { plan, lines: maintenanceLines(plan) };
  });

  on('balance.plan', balance_schema, async ({ group, ...rest }) => {
    const uuid = group === undefined ? null : named(() => needGroup(state, group).uuid);
    const plan = await report({ type: 'balance', group: uuid, allow_restart: true, ...rest });
    return { plan, lines: balanceLines(plan) };
  });

  on('placement.cluster', z.object({}), async () => {
    const { cluster } = viewNow();
    const { leader } = member.replica.status();
    const leads = state.list('nodes').find((node) => node.member === leader)?.uuid;
    const nodes = cluster.nodes.map((node) => (node.uuid === leads ? { ...node, master: true } : node));
    return { cluster: { ...cluster, nodes } };
  });
  on('evacuation.plan', evacuation_schema, async ({ node, to, mode, allow_restart }) => {
    const ask = { node, to: to ?? null, mode };
    const plan = await planEvacuation(state, report, ask).catch(rethrown);
    return { plan, refused: evacuationRefusal(plan, allow_restart)?.message ?? null };
  });

  return methods;
}

/** What names nothing is the caller's mistake. */
function named<T>(find: () => T): T {
  try {
    return find();
  } catch (error) {
    return rethrown(error);
  }
}

function rethrown(error: unknown): never {
  if (!(error instanceof OpError)) throw error;
  throw new ApiFailure(failureCode(error), error.message, 'skein node list');
}

function failureCode({ ecode }: OpError): 'not-found' | 'refused' | 'invalid' {
  if (ecode === 'unknown_entity') return 'not-found';
  return ecode === 'wrong_state' ? 'refused' : 'invalid';
}
