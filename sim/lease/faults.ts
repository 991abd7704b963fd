/** What goes wrong in the model: cuts, freezes, deaths, reboots, elections out of turn. For tests. */
import { no_lease } from '../../src/node/keeper/fence-action.ts';
import { no_node_lease } from '../../src/node/lease/node-lease.ts';
import { endGuest, look, settle } from './keeper.ts';
import { elect, stepDown } from './raft.ts';
import { model_ha } from './state.ts';
import type { Host, World } from './world.ts';

export function reboot(w: World, h: Host, down_ms: number): void {
  if (!h.up) return;
  w.mark('reboot', h.id);
  stepDown(h);
  h.up = false;
  for (const guest of [...h.guests.values()]) endGuest(w, h, guest);
  w.at(w.now + down_ms, () => {
    Object.assign(h, {
      up: true,
      boot: h.boot + 1,
      booted_at: w.now,
      agent_up: true,
      agent_life: h.agent_life + 1,
      lease: no_node_lease,
      fence: no_lease,
      leader: null,
      agent_frozen_until: 0,
      keeper_frozen_until: 0,
      pipe_at: w.now,
    });
  });
}

export function killAgent(w: World, h: Host): void {
  w.trace(w.now, `agent killed ${h.id}`);
  stepDown(h);
  Object.assign(h, { agent_up: false, agent_life: h.agent_life + 1, lease: no_node_lease, leader: null });
  w.at(w.now + w.between(100, 1500), () => {
    h.agent_up = true;
  });
}

export function freezeKeeper(w: World, h: Host, wanted_ms: number): void {
  const { kill_ms } = model_ha;
  if (h.keeper_frozen_until > w.now || (!h.watchdog && h.keeper_freezes > 0)) return;
  h.keeper_freezes += 1;
  // Without a watchdog W is the time in which the keeper itself is trusted to act.
  const ms = h.watchdog ? wanted_ms : Math.min(wanted_ms, 1.9 * kill_ms);
  const { boot } = h;
  h.keeper_frozen_until = w.now + ms;
  w.mark('keeper frozen', `${h.id} ${Math.round(ms)}`);
  w.at(w.now + ms, () => w.onKeeper(h, () => look(w, h)));
  const reset_ms = w.between(kill_ms, 2 * kill_ms);
  if (h.watchdog && ms > reset_ms)
    w.at(w.now + reset_ms, () => void (h.boot === boot && reboot(w, h, w.between(300, 4000))));
}

export function fault(w: World): void {
  const h = w.random() < 0.5 ? w.pick(w.hosts) : (w.hosts.find((x) => x.lead !== null) ?? w.pick(w.hosts));
  const owner = w.hosts.find((x) => x.guests.size > 0) ?? h;
  const victim = w.random() < 0.5 ? owner : h;
  const kind = w.random();
  const time_ms = w.random() < 0.5 ? w.between(300, 3000) : w.between(3000, 9000);
  if (kind < 0.35) cutOff(w, victim, time_ms);
  else if (kind < 0.45) w.cut.set(`${victim.id} ${w.pick(w.hosts).id}`, w.now + time_ms);
  else if (kind < 0.62) {
    w.trace(w.now, `agent frozen ${victim.id} ${Math.round(time_ms)}`);
    victim.agent_frozen_until = w.now + time_ms;
  } else if (kind < 0.67) freezeBoth(w, victim);
  else if (kind < 0.73) killAgent(w, victim);
  else if (kind < 0.8) freezeKeeper(w, victim, time_ms);
  else if (kind < 0.9) reboot(w, victim, w.random() < 0.5 ? w.between(100, 800) : time_ms);
  else if (victim.watchdog) freezeHost(w, victim, time_ms);
  else elect(w, w.pick(w.hosts));
  if (w.random() < 0.25) elect(w, w.pick(w.hosts));
}

export function cutOff(w: World, h: Host, time_ms: number): void {
  w.trace(w.now, `cut off ${h.id} ${Math.round(time_ms)}`);
  for (const other of w.hosts) {
    if (other === h) continue;
    const one_way = w.random() < 0.15;
    w.cut.set(`${h.id} ${other.id}`, w.now + time_ms);
    if (!one_way) w.cut.set(`${other.id} ${h.id}`, w.now + time_ms);
  }
}

/** Everything on it stands still, its guests too; the watchdog does not. */
export function freezeHost(w: World, h: Host, wanted_ms: number): void {
  if (!h.up || h.keeper_frozen_until > w.now) return;
  const { boot } = h;
  const frozen = [...h.guests.values()].filter((guest) => guest.running);
  for (const guest of frozen) {
    guest.running = false;
    w.events.push({ at_ms: w.now, host: h.id, instance: guest.instance, runs: false });
  }
  h.agent_frozen_until = Math.max(h.agent_frozen_until, w.now + wanted_ms);
  const reset_ms = w.between(model_ha.kill_ms, 2 * model_ha.kill_ms);
  freezeKeeper(w, h, Math.min(wanted_ms, reset_ms));
  if (wanted_ms > reset_ms) {
    w.at(w.now + reset_ms - 0.001, () => void (h.boot === boot && reboot(w, h, w.between(300, 4000))));
    return;
  }
  w.at(w.now + wanted_ms, () => {
    if (h.boot === boot) for (const guest of h.guests.values()) settle(w, h, guest);
  });
}

/** Agent and keeper one after the other, as a stop of a service's whole process group or an overloaded host does. */
function freezeBoth(w: World, h: Host): void {
  w.trace(w.now, `agent and keeper frozen ${h.id}`);
  h.agent_frozen_until = w.now + w.between(3000, 9000);
  const { boot } = h;
  w.at(w.now + w.between(0, 2200), () => {
    if (h.up && h.boot === boot) freezeKeeper(w, h, w.between(500, 4000));
  });
}
