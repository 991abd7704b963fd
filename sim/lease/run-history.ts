/**
 * A small discrete-event model for tests: hosts with drifting clocks, agents, keepers and watchdogs, a network that
 * delays and cuts, and a Raft reduced to what leases rely on. The lease, fence and repair rules in it are the real
 * code; `variant` leaves one rule out. The same seed gives the same history.
 */
import { tick } from './agent.ts';
import { fault } from './faults.ts';
import { elections } from './raft.ts';
import { type History, type Trace, type Variant, World } from './world.ts';

const length_ms = 26_000;
const tick_ms = 250;

/** @param trace told what happens, for a failure's replay. */
export function runHistory(seed: number, variant: Variant, trace: Trace = () => undefined): History {
  const w = new World(seed, variant, trace);
  for (const h of w.hosts) {
    const loop = () => {
      if (w.agentRuns(h)) tick(w, h);
      w.at(w.now + tick_ms * w.between(0.8, 1.2), loop);
    };
    w.at(w.between(0, tick_ms), loop);
  }
  const vote = () => {
    elections(w);
    w.at(w.now + w.between(150, 450), vote);
  };
  w.at(10, vote);
  const faults = 2 + Math.floor(w.random() * 5);
  for (let i = 0; i < faults; i += 1) w.at(w.between(2500, length_ms - 6000), () => fault(w));
  w.run(length_ms);
  return { events: w.events, marks: w.marks };
}
