/**
 * Trials of one fault on a lab's leader: how long until a command commits through a survivor, and until a client finds
 * another node at the master IP. Both are asked every 10 ms from the fault on; the later of the two is the failover.
 */
import type { Lab } from '../cli/lab/lab.ts';
import { nowMs, sleep } from './clock.ts';
import { openCommandProber } from './command-prober.ts';
import type { BenchContext, Goal } from './figure.ts';
import { measureSeries, type Series } from './measure.ts';
import { startProber } from './prober.ts';
import { archiveEnded, type Settled, settled } from './skein-lab.ts';

const who_port = 1821;
const limit_ms = 30_000;

export interface FailoverMedians {
  readonly commit_ms: number;
  readonly client_ms: number;
}

export interface Fault {
  /** e.g. `failover-kill`. */
  readonly name: string;
  readonly goal: Goal;
  inject(lab: Lab, before: Settled): Promise<void> | void;
  /** Undoes the fault and judges what it finds. */
  heal(lab: Lab, before: Settled): Promise<void>;
}

async function trial(
  lab: Lab,
  fault: Fault,
  log: string,
): Promise<readonly [commit: number, client: number]> {
  const before = await settled(lab);
  const { leader, followers } = before;
  if (lab.client === null) throw new Error('a lab without a client namespace');
  const prober = await startProber(lab.client.namespace, lab.master_ip, who_port, log);
  const commands = await openCommandProber(followers, limit_ms);
  try {
    const owner = await prober.owner();
    if (owner !== leader.name) throw new Error(`${owner} answers at the master IP, but ${leader.name} leads`);
    // Anywhere between two heartbeats.
    await sleep(200 + Math.random() * 500);
    const fault_ms = nowMs();
    await fault.inject(lab, before);
    // Only from here on is a command sent: what the old leader still committed proves nothing.
    const [commit_ms, answer] = await Promise.all([
      commands.firstCommit(limit_ms),
      prober.firstOther(owner, fault_ms, limit_ms),
    ]);
    return [commit_ms - fault_ms, answer.at_ms - fault_ms];
  } finally {
    commands.end();
    await prober.end();
    await fault.heal(lab, before);
  }
}

/** Answers the medians. Rejects when a trial does not come back within half a minute. */
export async function failoverTrials(
  context: BenchContext,
  lab: Lab,
  fault: Fault,
): Promise<FailoverMedians> {
  const commit = measureSeries(context, `${fault.name}/skein commit`, 'ms', fault.goal);
  const client = measureSeries(context, `${fault.name}/skein master IP`, 'ms', fault.goal);
  const both: Series = measureSeries(context, `${fault.name}/skein both`, 'ms', fault.goal);
  for (let round = 1; round <= context.trials; round++) {
    context.signal.throwIfAborted();
    const [commit_ms, client_ms] = await trial(lab, fault, `${lab.dir}/probe.log`);
    commit.add(commit_ms);
    client.add(client_ms);
    both.add(Math.max(commit_ms, client_ms));
    context.say(
      `${fault.name} ${round}: commit ${commit_ms.toFixed(0)} ms, master IP ${client_ms.toFixed(0)} ms`,
    );
    if (round % 5 === 0) await archiveEnded((await settled(lab)).leader);
  }
  const medians = {
    commit_ms: commit.emit('no-op job through a survivor'),
    client_ms: client.emit('fresh TCP connection, another node answers'),
  };
  both.emit('the later of the two');
  return medians;
}
