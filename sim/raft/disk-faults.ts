/** Disks that are slow, fail or are full, and recover. What damages bytes at rest is in rot.ts. */
import type { Knobs } from '../kit/knobs.ts';
import { victim } from './process-faults.ts';
import type { World } from './world.ts';

export function stall(w: World, draws: Knobs): void {
  const member = victim(w, draws);
  const duration_ms = draws.pick([draws.range(0, 3000), draws.range(4000, 10_000)]);
  w.fault('disk stall', `${duration_ms.toFixed(0)} ms`, member);
  member.storage.stalled_until_ms = w.clock.now_ms + duration_ms;
}

export async function failDisk(w: World, draws: Knobs): Promise<void> {
  const member = victim(w, draws);
  member.storage.error_rate = draws.range(0.01, 0.5);
  w.note(member, '! its disk begins to fail');
  await w.sleep(draws.exponential(2000));
  member.storage.error_rate = 0;
}

export async function fillDisk(w: World, draws: Knobs): Promise<void> {
  const member = victim(w, draws);
  const room_bytes = draws.integer(0, 20_000);
  w.fault('disk full', `${room_bytes} bytes left`, member);
  member.storage.disk.capacity_bytes = member.storage.disk.used_bytes + room_bytes;
  await w.sleep(draws.range(1000, 10_000));
  member.storage.disk.capacity_bytes = Number.POSITIVE_INFINITY;
}
