import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type JoinableConnection, joinWrites } from './joined-writes.ts';

/** A connection that keeps what was written, and time that passes when told to. */
function rig() {
  const writes: string[] = [];
  const timers = new Set<() => void>();
  const connection: JoinableConnection & { status: string } = {
    status: 'open',
    send(data) {
      const bytes = data instanceof Uint8Array ? data : data.subarray();
      writes.push(Buffer.from(bytes).toString('latin1'));
      return true;
    },
  };
  const env = {
    after(_ms: number, act: () => void) {
      timers.add(act);
      return () => void timers.delete(act);
    },
  };
  const pass = () => {
    for (const act of [...timers]) {
      timers.delete(act);
      act();
    }
  };
  joinWrites(connection, env);
  const say = (text: string) => connection.send(Buffer.from(text, 'latin1'));
  return { connection, writes, say, pass, waiting: () => timers.size };
}

const payload = 'p'.repeat(40);

test('what carries payload leaves at once, in one piece', () => {
  const { connection, writes } = rig();
  connection.send({ subarray: () => Buffer.from(payload) });
  assert.deepEqual(writes, [payload]);
});

test('what carries none waits for what does, and goes before it', () => {
  const { writes, say, waiting } = rig();
  assert.equal(say('a'), true);
  say('b');
  assert.deepEqual(writes, []);
  say(payload);
  assert.deepEqual([writes, waiting()], [[`ab${payload}`], 0]);
});

test('it does not wait for long, nor in numbers', () => {
  const { writes, say, pass, waiting } = rig();
  say('a');
  pass();
  assert.deepEqual(writes, ['a']);
  for (const text of ['b', 'c', 'd']) say(text);
  assert.deepEqual([writes, waiting()], [['a', 'bcd'], 0]);
  say('e');
  pass();
  assert.deepEqual(writes, ['a', 'bcd', 'e'], 'each byte once');
});

test('nothing is written to a connection that is closing', () => {
  const { connection, writes, say, pass } = rig();
  say('a');
  connection.status = 'closing';
  pass();
  assert.deepEqual(writes, []);
});
