/**
 * Clients: each asks one thing after the other, of whom it takes for the leader, and records what it saw. No answer, or
 * one that says "unknown", is an operation that may take effect at any later time; only what was refused for sure is
 * called failed. Values are unique.
 */
import type { Knobs } from '../kit/knobs.ts';
import { type Command, encodeCommand, type Value } from './kv.ts';
import type { Answer, Member } from './member.ts';
import type { World } from './world.ts';

/** Runs until the world is over. */
export async function runClient(w: World, client: number, draws: Knobs): Promise<void> {
  let target: Member | null = null;
  while (!w.over) {
    await w.sleep(draws.exponential(w.knobs.think_ms));
    if (w.over) return;
    const alive = w.alive;
    if (alive.length === 0) continue;
    if (target?.up !== true || draws.chance(w.knobs.wander))
      target = draws.pick([...alive, w.leader ?? draws.pick(alive)]);
    const hint = await operate(w, client, draws, target);
    if (hint !== 'stay') target = w.members.get(hint) ?? (draws.chance(0.5) ? w.leader : null);
  }
}

/** One operation. Whom to ask next: the member's number, 0 for anybody. */
async function operate(w: World, client: number, draws: Knobs, target: Member): Promise<number | 'stay'> {
  const { registers, lists } = w.knobs;
  const is_list = draws.chance(0.3);
  const key = is_list ? `list${draws.integer(1, lists)}` : `r${draws.integer(1, registers)}`;
  if (draws.chance(0.4)) return await read(w, client, draws, target, key);
  const value = w.history.ops.length + 1;
  const seen = draws.chance(0.7) ? w.history.lastSeen(client, key) : value - 1;
  const type = is_list ? 'append' : draws.chance(0.5) ? 'put' : 'cas';
  const expected = type === 'cas' ? seen : null;
  const op = w.history.begin(client, type, key, value, expected);
  const padding = 'x'.repeat(draws.integer(0, w.knobs.padding_bytes));
  const command = { id: op.id, type, key, value, expected, padding } as Command;
  const data = encodeCommand(command);
  const answer = await target.ask((running) => running.replica.propose(data), w.knobs.client_timeout_ms);
  if (answer.type === 'ok') {
    w.oracle.acked(op.id, answer.value.index);
    w.history.end(op, 'ok', answer.value.result as boolean);
    return 'stay';
  }
  const sure = answer.type === 'refused' && answer.error.outcome === 'not-proposed';
  w.history.end(op, sure ? 'failed' : 'unknown');
  if (sure) w.oracle.denied(op.id);
  else if (w.oracle.effectOf(op.id) !== undefined)
    w.once(op.id, 'committed on disk, answer lost with the leader');

  return next(answer);
}

async function read(
  w: World,
  client: number,
  draws: Knobs,
  leader: Member,
  key: string,
): Promise<number | 'stay'> {
  const op = w.history.begin(client, 'get', key, null, null);
  const acked = w.oracle.acked_index;
  const timeout_ms = w.knobs.client_timeout_ms;
  const led = leader.status?.role === 'leader';
  const asked = await leader.ask((running) => running.replica.readIndex(), timeout_ms);
  if (asked.type !== 'ok') {
    if (led && asked.type === 'refused' && asked.error.code === 'not-leader')
      w.marks.hit('read failed by a lost lead');
    w.history.end(op, 'failed');
    return next(asked);
  }
  const { index } = asked.value;
  if (index < acked)
    w.oracle.fail(`read ${op.id}: index ${index}, but ${acked} was acknowledged before it was asked`);
  const alive = w.alive;
  const elsewhere = draws.chance(w.knobs.follower_reads) && alive.length > 0;
  const reader = elsewhere ? draws.pick(alive) : leader;
  const value: Answer<Value> = await reader.ask(async ({ replica, machine }) => {
    await replica.waitApplied(index, timeout_ms);
    return machine.get(key);
  }, timeout_ms);
  if (value.type !== 'ok') {
    w.history.end(op, 'failed');
    return 'stay';
  }
  if (reader !== leader) w.marks.hit('read served by a follower');
  w.history.end(op, 'ok', value.value);
  return 'stay';
}

function next(answer: Answer<unknown>): number | 'stay' {
  if (answer.type === 'refused') return answer.error.code === 'not-leader' ? answer.error.leader : 'stay';
  return 0;
}
