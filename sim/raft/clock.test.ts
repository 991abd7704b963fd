import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Knobs } from '../kit/knobs.ts';
import { SimClock, SimProcess } from './clock.ts';

function process(clock: SimClock, id: number): SimProcess {
  const nothing = () => undefined;
  return new SimProcess(id, clock, {
    rate: 1,
    cost_ms: 0,
    knobs: new Knobs(1),
    log: nothing,
    fatal: nothing,
  });
}

test('who stirs is looked at, also when promises bring it about after its own event', async () => {
  const clock = new SimClock();
  const [a, b] = [process(clock, 1), process(clock, 2)];
  const seen: string[] = [];
  const long = async () => {
    for (let turn = 0; turn < 40; turn++) await null;
    clock.stir(b);
  };
  a.after(1, () => clock.stir(a));
  b.after(2, () => void long());
  for (let at_ms = 3; at_ms < 20; at_ms++) a.after(at_ms, () => undefined);
  await clock.run(
    100,
    () => false,
    ({ id }) => seen.push(`${id} at ${clock.now_ms}`),
  );
  assert.equal(seen[0], '1 at 1');
  assert.equal(seen.length, 2);
  assert.match(seen[1] ?? '', /^2 at /);
});

test('events come in the order of their moments, ties in that of their making; a frozen process waits', async () => {
  const clock = new SimClock();
  const [a, b] = [process(clock, 1), process(clock, 2)];
  const order: string[] = [];
  a.after(5, () => order.push('a5'));
  b.after(5, () => order.push('b5'));
  a.after(3, () => order.push('a3'));
  b.freeze();
  clock.after(9, () => b.thaw());
  await clock.run(
    8,
    () => false,
    () => undefined,
  );
  assert.deepEqual(order, ['a3', 'a5']);
  await clock.run(
    20,
    () => false,
    () => undefined,
  );
  assert.deepEqual(order, ['a3', 'a5', 'b5']);
});
