/**
 * One run: a group is founded as the product founds one, clients and faults do their worst for a while, then all faults
 * end and the group must come together and agree. A run is a function of its seed and its length.
 */
import { configurationOf } from '../../src/consensus/index.ts';
import { checkHistory } from '../history/check.ts';
import type { HistoryRecord } from '../history/jsonl.ts';
import { Knobs } from '../kit/knobs.ts';
import type { Marks } from '../kit/marks.ts';
import { formatSeed } from '../kit/seed.ts';
import { Trace } from '../kit/trace.ts';
import { runClient } from './client.ts';
import { encodeCommand } from './kv.ts';
import type { FaultName, MarkName } from './marks.ts';
import type { Member } from './member.ts';
import { startNemesis } from './nemesis.ts';
import { churnMembers, moveLead } from './operator.ts';
import { keepPromises } from './promises.ts';
import { recordsOf } from './records.ts';
import { World } from './world.ts';

/** Virtual time in which a group without faults must be whole again; from the longest pauses between snapshots and the slowest disks. */
const recovery_limit_ms = 120_000;

export interface RunOptions {
  /** Virtual time under faults; calm swarms run longer, see `stretch`. */
  readonly ms: number;
  /** Five members without faults, and few operations: what the simulator itself costs. */
  readonly calm?: boolean;
  /** Sees each trace line. */
  readonly sink?: (line: string) => void;
  /** Is given the history of the run at its end, a breach too. */
  readonly history?: (records: readonly HistoryRecord[]) => void;
}

export interface RunResult {
  readonly seed: number;
  readonly virtual_ms: number;
  readonly events: number;
  readonly trace_hash: string;
  readonly marks: Marks<MarkName>;
  readonly faults: Marks<FaultName>;
  readonly operations: { readonly ok: number; readonly failed: number; readonly unknown: number };
  readonly committed: number;
  readonly terms: number;
  /** From the end of the faults to everybody agreeing. */
  readonly recovery_ms: number;
  readonly peak_in_flight: number;
}

/** @throws Error for a breach; its message says what, how to replay it, and what happened last */
export async function runSeed(seed: number, options: RunOptions): Promise<RunResult> {
  const trace = new Trace(200, options.sink ?? null);
  const w = new World(seed, trace, options.calm === true);
  try {
    return await run(w, seed, options.ms);
  } catch (error) {
    const replay = `node sim/run-raft.ts --seed ${formatSeed(seed)} --ms ${options.ms}${options.calm === true ? ' --calm' : ''}`;
    const what = error instanceof Error ? error.message : String(error);
    throw new Error(`${what}\n${replay}\n${trace.last(40).join('\n')}`, { cause: error });
  } finally {
    options.history?.(recordsOf(w.history.ops));
  }
}

async function run(w: World, seed: number, length_ms: number): Promise<RunResult> {
  const draws = new Knobs(seed ^ 0x5eed5eed);
  await found(w);
  w.network.knobs = w.knobs.network;
  for (let client = 1; client <= w.knobs.clients; client++) void runClient(w, client, draws.fork());
  startNemesis(w, draws.fork());
  void churnMembers(w, draws.fork());
  void moveLead(w, draws.fork());
  await w.run(w.clock.now_ms + w.knobs.stretch * length_ms);
  w.over = true;
  const recovery_ms = await recover(w);
  judgeHistory(w);
  await keepPromises(w, draws);
  const count = (outcome: string) => w.history.ops.filter((op) => op.outcome === outcome).length;
  return {
    seed,
    virtual_ms: w.clock.now_ms,
    events: w.clock.events,
    trace_hash: w.trace.hash,
    marks: w.marks,
    faults: w.faults,
    operations: { ok: count('ok'), failed: count('failed'), unknown: count('unknown') },
    committed: w.oracle.committed_index,
    terms: w.oracle.terms_led,
    recovery_ms,
    peak_in_flight: w.network.peak_in_flight,
  };
}

/** The first member founds the group alone, then adds the others. */
async function found(w: World): Promise<void> {
  const { voters, learners } = w.knobs;
  const first = w.add(configurationOf([1]));
  const others = Array.from({ length: voters + learners - 1 }, () => w.add());
  const ready = () => first.status?.established === true && others.every((member) => member.running !== null);
  if (!(await w.run(60_000, ready))) throw new Error('the group cannot be founded');
  const changes = others.map(({ id }) => ({ type: id <= voters ? 'add-voter' : 'add-learner', id }) as const);
  let added = false;
  void first
    .ask(({ replica }) => replica.changeMembers(changes), 60_000)
    .then((answer) => {
      added = answer.type === 'ok';
    });
  if (!(await w.run(w.clock.now_ms + 60_000, () => added))) throw new Error('the members cannot be added');
}

/** All faults end, everybody comes back: the group elects, commits, and all of it agrees, within the limit. */
async function recover(w: World): Promise<number> {
  w.calm = true;
  w.note(null, 'all faults end');
  w.network.calm();
  for (const member of w.existing) {
    member.calm();
    member.start();
  }
  const begun_ms = w.clock.now_ms;
  let target = 0;
  const proof = prove(w, (index) => {
    target = index;
  });
  const agreed = await w.run(begun_ms + recovery_limit_ms, () => target > 0 && isWhole(w, target));
  if (!agreed) throw new Error(`not whole ${recovery_limit_ms} ms after the last fault: ${shape(w)}`);
  await proof;
  return w.clock.now_ms - begun_ms;
}

/** Proposes until a proposal of this time is committed. */
async function prove(w: World, proven: (index: number) => void): Promise<void> {
  for (;;) {
    await w.sleep(200);
    const { leader } = w;
    if (leader === null) continue;
    const op = w.history.begin(0, 'put', 'r1', w.history.ops.length + 1, null);
    const data = encodeCommand({ id: op.id, type: 'put', key: 'r1', value: op.value! });
    const answer = await leader.ask(({ replica }) => replica.propose(data), 5000);
    const sure = answer.type === 'refused' && answer.error.outcome === 'not-proposed';
    w.history.end(op, answer.type === 'ok' ? 'ok' : sure ? 'failed' : 'unknown', answer.type === 'ok');
    if (answer.type !== 'ok') continue;
    w.oracle.acked(op.id, answer.value.index);
    proven(answer.value.index);
    return;
  }
}

/** Every member of the configuration has applied `index` and follows one leader, and no change is under way. */
function isWhole(w: World, index: number): boolean {
  const leader = w.leader?.status;
  if (leader?.established !== true) return false;
  const { voters, voters_outgoing, learners } = leader.configuration;
  if (voters_outgoing.length > 0) return false;
  return [...voters, ...learners].every((id) => {
    const status = w.members.get(id)?.status;
    return (
      status != null && status.applied >= index && status.leader === leader.id && status.term === leader.term
    );
  });
}

function shape(w: World): string {
  const line = ({ id, status, destroyed }: Member) =>
    `m${id} ${destroyed ? 'gone' : status === null ? 'not open' : `${status.role} term ${status.term} leader ${status.leader} applied ${status.applied}/${status.commit}/${status.last_index} voters ${status.configuration.voters.join('+')}`}`;
  return [...w.members.values()].map(line).join('; ');
}

function judgeHistory(w: World): void {
  const { leader } = w;
  const machine = leader?.running?.machine;
  if (machine === undefined) throw new Error('there is no leader to compare with');
  const lists = w.history.brokenLists((key) => machine.get(key));
  if (lists !== null) throw new Error(`lists: ${lists}`);
  const registers = checkHistory(w.history.operations);
  if (!registers.ok) throw new Error(`register ${registers.key} is not linearizable: ${registers.reason}`);
}
