/**
 * Plays a scenario in virtual time. Guarantees: every oracle of sim/cluster is asked all along, and with `heal` the
 * convergence too; then the scenario's own expectations; the log is only what people compare afterwards.
 */

import { type Act, Acts, waysBetween } from '../cluster/acts.ts';
import { Breach, SimCluster } from '../cluster/cluster.ts';
import { type Mark, mark_names } from '../cluster/mark-names.ts';
import { settle } from '../cluster/run-seed.ts';
import type { Turn } from '../cluster/virtual-time.ts';
import { Trace } from '../kit/trace.ts';
import { Timeline, type TimelineEntry } from '../swarm/timeline.ts';
import { type Condition, condition } from './conditions.ts';
import type { LogLine } from './golden.ts';
import type { Scenario, ScenarioAct, Step } from './scenario.ts';

export interface Played {
  readonly log: readonly LogLine[];
  /** null: everything held. */
  readonly failure: string | null;
  readonly simulated_s: number;
}

const look_every_ms = 100;
const kept_lines = 60;
const setup_s = 120;
const settled_ms = 1000;

export interface PlayOptions {
  /** Sees each line of the trace. */
  readonly sink?: ((line: string) => void) | null;
  /** How long everything may take to be well again after it is mended. */
  readonly most_settle_ms?: number;
}

export async function playScenario(
  scenario: Scenario,
  turn: Turn,
  options: PlayOptions = {},
): Promise<Played> {
  const player = new Player(scenario, turn, options);
  let failure: string | null = null;
  try {
    await player.play();
  } catch (error) {
    failure = error instanceof Breach ? error.message : String((error as Error).stack);
  }
  return { log: player.log, failure, simulated_s: player.cluster.time.now_ms / 1000 };
}

class Player {
  readonly cluster: SimCluster;
  readonly log: LogLine[] = [];
  readonly #scenario: Scenario;
  readonly #most_settle_ms: number | undefined;
  #acts: Acts | null = null;
  #from_ms: number | null = null;
  #leader = '';

  constructor(scenario: Scenario, turn: Turn, options: PlayOptions) {
    this.#scenario = scenario;
    this.#most_settle_ms = options.most_settle_ms;
    const shown = new Set<string>(scenario.log);
    const timeline = new Timeline((entry) => {
      if (shown.has(entry.kind)) this.#logEntry(entry);
    });
    const trace = new Trace(kept_lines, (line) => {
      timeline.line(line);
      options.sink?.(line);
    });
    this.cluster = new SimCluster({ ...scenario.cluster, trace, turn });
    timeline.follow(this.cluster);
  }

  async play(): Promise<void> {
    const { cluster } = this;
    const { steps, instances, rest_s, heal, expect, never, counts } = this.#scenario;
    const conditions = [...steps.flatMap((step) => ('until' in step ? step.until : [])), ...expect, ...never];
    // Words that mean nothing fail before anything runs.
    for (const words of conditions) condition(cluster, words);
    const unknown = Object.keys(counts).find((name) => !mark_names.includes(name as Mark));
    if (unknown !== undefined) throw new Error(`"${unknown}" is no mark: see sim/cluster/mark-names.ts`);
    const forbidden = never.map((words) => ({ words, held: condition(cluster, words) }));
    await cluster.found();
    await cluster.joinAll();
    await cluster.run(Math.ceil(cluster.time.now_ms) - cluster.time.now_ms);
    this.#acts = new Acts(cluster);
    if (Object.keys(instances).length > 0) await this.#setUp(this.#acts);
    this.#from_ms = cluster.time.now_ms;
    this.#leader = cluster.leader()?.host.name ?? '';
    this.#watch(forbidden);
    for (const step of steps) {
      const waits = this.#waitFor(step);
      // What is due at once happens in the same turn, as the acts of a seed do.
      if (waits !== null) await waits;
      if ('act' in step) this.#do(step.act);
    }
    await cluster.run(rest_s * 1000);
    if (heal) {
      this.#log('everything is mended');
      this.#acts.healAll();
      await settle(cluster, this.#acts, this.#most_settle_ms);
    } else this.#acts.registers.judge();
    await this.#until(expect, 0);
    // The last looks of the timeline.
    await cluster.run(settled_ms);
    for (const [name, wanted] of Object.entries(counts)) {
      const count = cluster.marks.count(name as Mark);
      const [least, most] = typeof wanted === 'number' ? [wanted, wanted] : wanted;
      if (count < least || count > most)
        throw new Breach(
          `"${name}" came to pass ${count} times, not ${least === most ? least : `${least} to ${most}`}`,
        );
    }
  }

  /** Instances run, everything is well, and it is a whole second. Without instances acts begin at once, as in a seed. */
  async #setUp(acts: Acts): Promise<void> {
    const { cluster } = this;
    const instances = Object.entries(this.#scenario.instances);
    for (const [name, node] of instances) acts.perform(createAct(name, node));
    const up = instances.map(([name, node]) => `${name} runs on ${node}`);
    await this.#until(['all is well', ...up], setup_s);
    await cluster.run(Math.ceil(cluster.time.now_ms / 1000) * 1000 - cluster.time.now_ms);
  }

  get #now_s(): number {
    return this.#from_ms === null ? -1 : (this.cluster.time.now_ms - this.#from_ms) / 1000;
  }

  /** null: nothing to wait for. */
  #waitFor(step: Step): Promise<unknown> | null {
    if ('until' in step) return this.#until(step.until, step.within_s);
    // Whole milliseconds: conditions come to hold at any time.
    const now_ms = this.cluster.time.now_ms;
    const due_ms =
      step.at_s === undefined
        ? Math.ceil(now_ms + (step.after_s ?? 0) * 1000)
        : Math.max(Math.round(this.#from_ms! + step.at_s * 1000), Math.ceil(now_ms));
    return due_ms > now_ms ? this.cluster.run(due_ms - now_ms) : null;
  }

  #do(act: ScenarioAct): void {
    this.#log(`> ${actText(act)}`);
    this.#acts!.perform(this.#resolve(act));
  }

  /** `leader` becomes who leads now. @throws Breach when nobody does */
  #resolve(act: ScenarioAct): Act {
    const name = (text: string): string => {
      if (text !== 'leader') return text;
      const leader = this.cluster.leader();
      if (leader === null) throw new Breach(`nobody leads (at ${this.#now_s.toFixed(0)} s)`);
      return leader.host.name;
    };
    const hosts = this.cluster.hosts.map((one) => one.name);
    const others = (host: string) => hosts.filter((one) => one !== host);
    const all = () =>
      hosts
        .map((one, at) => waysBetween(one, hosts.slice(at + 1)))
        .join(' ')
        .trim();
    switch (act.do) {
      case 'isolate':
        return { do: 'cut', ways: waysBetween(name(act.host), others(name(act.host))) };
      case 'rejoin':
        return { do: 'heal', ways: waysBetween(act.host, others(act.host)) };
      case 'cut':
      case 'heal':
        return { do: act.do, ways: act.ways === 'all' ? all() : act.ways };
      case 'delays':
      case 'registers':
      case 'join':
      case 'mend':
        return act;
      case 'submit': {
        const { by, ...rest } = act;
        return by === undefined ? rest : { ...rest, by: name(by) };
      }
      case 'transfer': {
        const { to, ...rest } = act;
        return { ...rest, host: name(act.host), ...(to === undefined ? {} : { to }) };
      }
      default:
        return { ...act, host: name(act.host) };
    }
  }

  async #until(words: readonly string[], within_s: number): Promise<void> {
    const wanted = words.map((text) => ({ text, held: condition(this.cluster, text) }));
    const missing = () => wanted.filter(({ held }) => !held()).map(({ text }) => text);
    let next_look_ms = this.cluster.time.now_ms;
    const held = await this.cluster.run(within_s * 1000, () => {
      if (this.cluster.time.now_ms < next_look_ms) return false;
      next_look_ms = this.cluster.time.now_ms + look_every_ms;
      return missing().length === 0;
    });
    const left = held ? [] : missing();
    if (left.length > 0)
      throw new Breach(`expected within ${within_s} s: ${left.join('; ')} (at ${this.#now_s.toFixed(0)} s)`);
  }

  #watch(forbidden: readonly { readonly words: string; readonly held: Condition }[]): void {
    const look = () => {
      const broken = forbidden.find(({ held }) => held());
      if (broken === undefined) this.cluster.time.after(look_every_ms, look);
      else this.cluster.fail(`never was to be: ${broken.words}`);
    };
    if (forbidden.length > 0) look();
  }

  #log(text: string): void {
    this.log.push({ at_s: this.#now_s, text });
  }

  /** What chance decides is left out: which of several leads, in which term, under which job number. */
  #logEntry(entry: TimelineEntry): void {
    if (this.#from_ms === null) return;
    if (entry.kind === 'leader') {
      if (!/leads/.test(entry.text) || entry.text.endsWith('no more')) return;
      this.#log(`a node leads: ${entry.who === this.#leader ? 'the same as before' : 'another'}`);
      this.#leader = entry.who;
    } else if (entry.kind === 'job') {
      const ours = this.#scenario.steps.some(
        (step) => 'act' in step && step.act.do === 'submit' && step.act.request === entry.who,
      );
      if (ours) this.#log(`job ${entry.who}: ${/ (\w+):/.exec(entry.text)?.[1]}`);
    } else this.#log(entry.text);
  }
}

function createAct(instance_name: string, pnode: string): Act {
  const op = {
    OP_ID: 'OP_INSTANCE_CREATE',
    mode: 'create',
    instance_name,
    disk_template: 'sharedfile',
    disks: [{ size: 8 }],
    nics: [],
    beparams: { maxmem: 256, minmem: 256 },
    pnode,
    no_install: true,
  };
  return { do: 'submit', request: `create-${instance_name}`, ops: [op] };
}

function actText(act: ScenarioAct): string {
  const { do: what, ...rest } = act;
  const words = Object.entries(rest).map(([key, value]) => {
    if (key === 'ops') return (value as readonly { OP_ID: string }[]).map((op) => op.OP_ID).join(' ');
    if (key === 'host' || key === 'ways' || key === 'request') return String(value);
    return `${key} ${JSON.stringify(value)}`;
  });
  return [what, ...words].join(' ');
}
