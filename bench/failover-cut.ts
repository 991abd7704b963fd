/** The leader's cable out; and when it is in again, the old leader has let go of the master IP. */
import { setTimeout as delay } from 'node:timers/promises';
import { labCut, labHeal } from '../cli/lab/faults.ts';
import type { Lab } from '../cli/lab/lab.ts';
import { nowMs } from './clock.ts';
import { etcdFailover } from './etcd.ts';
import { failoverTrials } from './failover.ts';
import type { Figure } from './figure.ts';
import { keepalivedFailover } from './keepalived.ts';
import { emitRatio } from './measure.ts';
import { holdsAddress } from './peer-network.ts';
import { type Settled, withLab } from './skein-lab.ts';

/** How long the old leader is watched after its cable is in again. */
const watched_ms = 1_000;

async function healWatching(lab: Lab, { leader }: Settled): Promise<void> {
  const { namespace } = leader;
  if (namespace === null) throw new Error(`${leader.name} has no namespace`);
  const mustNotHold = (when: string): void => {
    if (holdsAddress(namespace, lab.master_ip))
      throw new Error(`${leader.name} holds ${lab.master_ip} ${when} its cable is in again`);
  };
  let held_before: Error | null = null;
  try {
    mustNotHold('just before');
  } catch (error) {
    held_before = error as Error;
  }
  await labHeal(lab, leader.name);
  if (held_before) throw held_before;
  for (const end_ms = nowMs() + watched_ms; nowMs() < end_ms; await delay(50)) mustNotHold('after');
}

export const failoverCut: Figure = {
  name: 'failover-cut',
  summary: "the leader's link cut: the same, and the old leader lets go of the master IP",
  root: true,
  needs: [
    ['keepalived', 'keepalived'],
    ['etcd', 'etcd-server'],
    ['etcdctl', 'etcd-client'],
  ],
  async run(context) {
    const skein = await withLab((lab) =>
      failoverTrials(context, lab, {
        name: 'failover-cut',
        goal: { kind: 'below', value: 4_000 },
        inject: (cut, before) => labCut(cut, before.leader.name),
        heal: healWatching,
      }),
    );
    const keepalived_ms = await keepalivedFailover(context, 'failover-cut', 'cut');
    const etcd_ms = await etcdFailover(context, 'failover-cut', 'cut');
    emitRatio(context, 'failover-cut/keepalived : skein master IP', keepalived_ms / skein.client_ms, null);
    emitRatio(context, 'failover-cut/etcd : skein commit', etcd_ms / skein.commit_ms, null);
  },
};
