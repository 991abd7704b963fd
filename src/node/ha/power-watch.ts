/**
 * Asks Ganeti's out-of-band programs whether silent nodes have power, and remembers who has none.
 *
 * A host without power runs nothing: whatever it ran under the boot that the log had when it was asked is over, for good.
 * No answer, or a wrong one, is no evidence and holds up nothing. Nothing is asked of a node that is heard, and what was
 * said of one that is heard again is forgotten: then its program speaks of another machine.
 */
export interface SilentNode {
  readonly uuid: string;
  readonly name: string;
  /** As the log has it. */
  readonly boot: number;
  /** Path of its out-of-band program; '' for none. */
  readonly program: string;
}

export interface PowerProof {
  /** This boot of it, and all before, are over. */
  readonly boot: number;
  readonly text: string;
}

export interface PowerWatchDeps {
  now_ms(): number;
  log(level: 'info' | 'warn', message: string, fields?: Record<string, unknown>): void;
  /** Ends in bounded time; rejects when the program gives no answer. */
  isPowered(program: string, node: string): Promise<boolean>;
}

export interface PowerWatch {
  /** To be called now and then with all that are silent. */
  look(silent: readonly SilentNode[]): void;
  /** By uuid, of the silent ones. */
  proofs(): ReadonlyMap<string, PowerProof>;
}

const most_asked_at_once = 8;
const first_pause_ms = 1_000;
const most_pause_ms = 30_000;

interface Asked {
  readonly node: SilentNode;
  running: boolean;
  pause_ms: number;
  next_at_ms: number;
  proof: PowerProof | null;
  /** What went wrong last, so that it is said once. */
  problem: string;
}

export function createPowerWatch(deps: PowerWatchDeps): PowerWatch {
  let asked = new Map<string, Asked>();

  function ask(one: Asked): void {
    const { name, boot, program } = one.node;
    one.running = true;
    deps.isPowered(program, name).then(
      (powered) => {
        over(one);
        if (powered || asked.get(one.node.uuid) !== one) return;
        one.proof = { boot, text: `${program} says that ${name} has no power` };
        deps.log('warn', 'a silent node has no power', { node: name, boot });
      },
      (error: Error) => {
        over(one);
        if (error.message === one.problem) return;
        one.problem = error.message;
        deps.log('warn', 'no word on the power of a silent node', { node: name, error: error.message });
      },
    );
  }

  function over(one: Asked): void {
    one.running = false;
    one.next_at_ms = deps.now_ms() + one.pause_ms;
    one.pause_ms = Math.min(most_pause_ms, 2 * one.pause_ms);
  }

  return {
    look(silent) {
      const fresh = (node: SilentNode): Asked => ({
        node,
        running: false,
        pause_ms: first_pause_ms,
        next_at_ms: 0,
        proof: null,
        problem: '',
      });
      const next = new Map<string, Asked>();
      for (const node of silent) {
        if (node.program === '') continue;
        const known = asked.get(node.uuid);
        const same = known?.node.boot === node.boot && known.node.program === node.program;
        next.set(node.uuid, same ? known : fresh(node));
      }
      asked = next;
      let running = [...asked.values()].filter((one) => one.running).length;
      for (const one of asked.values()) {
        if (running >= most_asked_at_once) return;
        if (one.running || one.proof !== null || deps.now_ms() < one.next_at_ms) continue;
        running += 1;
        ask(one);
      }
    },
    proofs: () =>
      new Map([...asked].flatMap(([uuid, { proof }]) => (proof === null ? [] : [[uuid, proof] as const]))),
  };
}
