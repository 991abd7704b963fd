/** kill -9 of the leader's agent, beside keepalived and etcd with the settings they come with. */
import process from 'node:process';
import { etcdFailover } from './etcd.ts';
import { failoverTrials } from './failover.ts';
import type { Figure } from './figure.ts';
import { keepalivedFailover } from './keepalived.ts';
import { emitRatio } from './measure.ts';
import { withLab } from './skein-lab.ts';

export const failoverKill: Figure = {
  name: 'failover-kill',
  summary: 'kill -9 of the leader: a command commits, and another node answers at the master IP',
  root: true,
  needs: [
    ['keepalived', 'keepalived'],
    ['etcd', 'etcd-server'],
    ['etcdctl', 'etcd-client'],
  ],
  async run(context) {
    const skein = await withLab((lab) =>
      failoverTrials(context, lab, {
        name: 'failover-kill',
        goal: { kind: 'below', value: 400 },
        inject(_lab, before) {
          const pid = before.status.get(before.leader.name)?.pid ?? 0;
          if (pid <= 1) throw new Error(`${before.leader.name} tells no process id`);
          process.kill(pid, 'SIGKILL');
        },
        // Its keeper starts it again; the next trial waits until it is back.
        heal: () => Promise.resolve(),
      }),
    );
    const keepalived_ms = await keepalivedFailover(context, 'failover-kill', 'kill');
    const etcd_ms = await etcdFailover(context, 'failover-kill', 'kill');
    emitRatio(context, 'failover-kill/keepalived : skein master IP', keepalived_ms / skein.client_ms, {
      kind: 'at-least',
      value: 5,
    });
    emitRatio(context, 'failover-kill/etcd : skein commit', etcd_ms / skein.commit_ms, {
      kind: 'at-least',
      value: 2,
    });
  },
};
