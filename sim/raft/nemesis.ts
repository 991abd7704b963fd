/**
 * The faults of a run: one loop for each kind that the seed turned on. Each fault ends by itself after a while, and all
 * are counted when they are delivered.
 */
import type { Knobs } from '../kit/knobs.ts';
import { failDisk, fillDisk, stall } from './disk-faults.ts';
import type { Member } from './member.ts';
import { clog, depose, flap, laggard, partition, reset, swizzle } from './network-faults.ts';
import { ambush, block, crash, crashAll, crashLeader, ending, freeze, stepDown } from './process-faults.ts';
import { misdirect, rot } from './rot.ts';
import { rivals, schism } from './schism.ts';
import type { World } from './world.ts';

type Fault = (w: World, draws: Knobs) => Promise<void> | void;

export function startNemesis(w: World, draws: Knobs): void {
  const { every } = w.knobs;
  const kinds: readonly (readonly [number, Fault])[] = [
    [every.partition, partition],
    [every.depose, depose],
    [every.flap, flap],
    [every.swizzle, swizzle],
    [every.clog, clog],
    [every.reset, reset],
    [every.crash, crash],
    [every.crash_leader, crashLeader],
    [every.ambush, ambush],
    [every.crash_all, crashAll],
    [every.freeze, freeze],
    [every.block, block],
    [every.stall, stall],
    [every.disk_error, failDisk],
    [every.disk_full, fillDisk],
    [every.laggard, laggard],
    [every.step_down, stepDown],
    [every.rot, rot],
    [every.misdirect, misdirect],
    [every.schism, schism],
    [every.rivals, rivals],
  ];
  for (const [mean_ms, fault] of kinds) {
    const own = draws.fork();
    if (mean_ms > 0) void repeat(w, own, mean_ms, fault);
  }
  void keepRestarting(w, draws.fork());
}

async function repeat(w: World, draws: Knobs, mean_ms: number, fault: Fault): Promise<void> {
  while (!w.over) {
    await w.sleep(draws.exponential(mean_ms));
    if (!w.over && w.alive.length > 0) await fault(w, draws);
  }
}

/** Whatever is down comes back. */
async function keepRestarting(w: World, draws: Knobs): Promise<void> {
  const due = new Map<Member, number>();
  while (!w.over) {
    await w.sleep(100);
    w.watch.group();
    for (const member of w.members.values()) {
      if (member.up || member.destroyed) {
        due.delete(member);
        continue;
      }
      const at_ms = due.get(member) ?? w.clock.now_ms + draws.exponential(w.knobs.restart_ms, 20_000);
      due.set(member, at_ms);
      if (w.clock.now_ms < at_ms || w.over) continue;
      member.start();
      // Recovery is interrupted too.
      if (!draws.chance(0.15)) continue;
      w.clock.after(draws.exponential(20), () => {
        if (!w.over && member.up) {
          w.fault('crash at a restart', '', member);
          member.end(ending(draws));
        }
      });
    }
  }
}
