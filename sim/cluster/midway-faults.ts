/**
 * Faults that wait for a moment which chance seldom meets, and strike then. What is armed strikes once, or never when
 * faults are over before.
 */
import type { Job } from '../../src/config/model.ts';
import type { FaultScene } from './fault-scene.ts';
import type { SimHost } from './host/sim-host.ts';

/** Takes the leader some entries into a failover, or while the group is between two configurations. */
export function armMidway(scene: FaultScene): void {
  const { knobs, acts, cluster } = scene;
  const { marks, oracles, time } = cluster;
  const joint = knobs.chance(0.3);
  let skips = joint ? 0 : knobs.integer(0, 12);
  const power = knobs.chance(0.3);
  const down_ms = scene.duration();
  const delay_ms = knobs.integer(0, joint ? 1 : 20);
  oracles.leaderApplied = (host, member) => {
    const met = joint
      ? member.replica.status().configuration.voters_outgoing.length > 0
      : member.state.list('jobs').some(isRunningFailover);
    if (!met || skips-- > 0) return;
    oracles.leaderApplied = () => undefined;
    // Acts happen on whole milliseconds.
    const now_ms = acts.now_ms;
    time.after(Math.ceil(now_ms) - now_ms + delay_ms, () => {
      if (!scene.on) return;
      acts.perform({ do: power ? 'power-off' : 'kill-agent', host: host.name });
      if (power) scene.later(down_ms, { do: 'power-on', host: host.name });
      marks.hit('fault: leader taken midway');
    });
  };
}

function isRunningFailover(job: Job): boolean {
  return job.status === 'running' && job.ops.some(({ input }) => input.OP_ID === 'OP_INSTANCE_FAILOVER');
}

/** Cuts a host's power while something of it is being written: log, image, journal or membership. */
export function armPowerMidway(scene: FaultScene, host: SimHost): void {
  const { knobs, acts, cluster } = scene;
  let skips = knobs.integer(0, 20);
  const down_ms = scene.duration();
  host.onWrite = () => {
    if (skips-- > 0) return;
    host.onWrite = () => undefined;
    const now_ms = acts.now_ms;
    cluster.time.after(Math.ceil(now_ms) - now_ms, () => {
      if (!scene.on || !acts.perform({ do: 'power-off', host: host.name })) return;
      scene.onLost(host);
      scene.later(down_ms, { do: 'power-on', host: host.name });
      cluster.marks.hit('fault: power cut midway');
    });
  };
}
