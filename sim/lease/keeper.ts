/** The model's keepers and guests: the fence in front of every line, and what runs when, for the oracle. For tests. */
import { fenceAction } from '../../src/node/keeper/fence-action.ts';
import type { Guest, Host, World } from './world.ts';

export function settle(w: World, h: Host, guest: Guest): void {
  const runs = h.up && h.guests.get(guest.instance) === guest && !guest.stopped && !guest.frozen;
  if (runs === guest.running) return;
  guest.running = runs;
  w.events.push({ at_ms: w.now, host: h.id, instance: guest.instance, runs });
  w.trace(
    w.now,
    `${h.id} ${runs ? 'runs' : 'halts'} ${guest.instance} epoch ${guest.epoch} until ${Math.round(w.whenClock(h, h.fence.deadline_ms))}`,
  );
}

export function endGuest(w: World, h: Host, guest: Guest): void {
  if (h.guests.get(guest.instance) !== guest) return;
  h.guests.delete(guest.instance);
  settle(w, h, guest);
}

export function look(w: World, h: Host): void {
  const view = [...h.guests.values()].map((g) => ({
    name: g.instance,
    protected: true,
    paused_proven: g.proven,
    frozen: g.frozen,
  }));
  const actions = fenceAction(w.clock(h), h.fence, view);
  for (const name of actions.kill) {
    w.mark('keeper killed', h.id);
    endGuest(w, h, h.guests.get(name)!);
  }
  for (const name of [...actions.freeze, ...actions.thaw]) {
    const guest = h.guests.get(name)!;
    guest.frozen = actions.freeze.includes(name);
    w.mark(guest.frozen ? 'keeper froze' : 'keeper thawed', h.id);
    if (!guest.frozen && guest.resume_queued) guest.stopped = guest.resume_queued = false;
    settle(w, h, guest);
  }
  if (actions.next_ms !== null) {
    const due = actions.next_ms;
    w.at(w.whenClock(h, due) + 0.01, () => w.onKeeper(h, () => look(w, h)));
  }
}

/** A line to the keeper: kept in order, and the fence is looked at before it is served. */
export function tell(w: World, h: Host, line: () => void): void {
  h.pipe_at = Math.max(h.pipe_at, w.now + w.between(0, 5));
  const { boot } = h;
  w.at(h.pipe_at, () =>
    w.onKeeper(
      h,
      () => {
        look(w, h);
        line();
        look(w, h);
      },
      boot,
    ),
  );
}
