import assert from 'node:assert/strict';
import { test } from 'node:test';
import { campaignDelay } from './campaign-delay.ts';
import { configurationOf } from './configuration.ts';
import { TickClock } from './tick-clock.ts';

const timing = { tick_ms: 50, election_ticks: 40, heartbeat_ticks: 5 };

test('late timers lose no ticks, and early ones make none', () => {
  const clock = new TickClock(timing, 1000);
  assert.deepEqual(
    [1049, 1050, 1130, 1200, 1200].map((now) => clock.advance(now)),
    [0, 1, 1, 2, 0],
  );
});

test('a long standstill is few ticks, and is noticed', () => {
  const clock = new TickClock(timing, 0);
  assert.equal(clock.advance(50), 1);
  assert.equal(clock.stoodStill(2050), false);
  assert.equal(clock.stoodStill(2051), true);
  assert.equal(clock.advance(60_050), timing.election_ticks / 2);
  assert.equal(clock.stoodStill(60_051), false);
  assert.equal(clock.advance(60_100), 1);
});

test('the moment of a tick is when it was made, however unevenly', () => {
  const clock = new TickClock(timing, 100);
  clock.advance(150);
  clock.advance(400);
  assert.deepEqual(
    [0, 4, 5, 6, 7, 10_000, Number.MAX_SAFE_INTEGER].map((age) => clock.momentOf(age)),
    [400, 400, 150, 100, 0, 0, 0],
  );
});

test('voters campaign one after the other, without the one that is lost', () => {
  const configuration = configurationOf([2, 5, 7], [9]);
  assert.deepEqual(
    [5, 7].map((id) => campaignDelay(configuration, id, 2)),
    [0, 2],
  );
  assert.deepEqual(
    [2, 7].map((id) => campaignDelay(configuration, id, 5)),
    [0, 2],
  );
  assert.deepEqual(campaignDelay({ ...configuration, voters_outgoing: [1, 2] }, 7, 2), 4);
});
