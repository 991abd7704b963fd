/**
 * Clusters written as a line, for the tests of this folder: voters, then learners, each with what is to be known of it.
 * `n1* n2 n3(silent 61) | n4(rack B)`: n1 leads, n3 has not been heard for 61 s, n4 is a learner in rack B.
 */
import type { MemberId } from '../../consensus/types.ts';
import type { VoterStep } from './step.ts';
import { type MemberProgress, type VoterNode, type VoterView, voterLimits } from './view.ts';

export interface SketchOptions {
  readonly pool?: number;
  /** Seconds since the last change; long ago if left out. */
  readonly changed_s?: number;
  /** Seconds that this leader has led; long if left out. */
  readonly leads_s?: number;
  readonly joint?: boolean;
}

interface Host {
  readonly id: MemberId;
  readonly leads: boolean;
  readonly words: readonly string[];
}

function hosts(text: string): readonly Host[] {
  return [...text.matchAll(/n(\d+)(\*?)(?:\(([^)]*)\))?/g)].map(([, id, star, words]) => ({
    id: Number(id),
    leads: star === '*',
    words: (words ?? '')
      .split(',')
      .map((word) => word.trim())
      .filter((word) => word !== ''),
  }));
}

const node_words: Readonly<Record<string, Partial<VoterNode>>> = {
  'not capable': { master_capable: false },
  witness: { vm_capable: false },
  'no candidate': { master_candidate: false },
  offline: { offline: true, master_candidate: false },
  drained: { drained: true, master_candidate: false },
  damaged: { trouble: 'has damaged storage' },
  'slow disk': { trouble: 'has a slow disk' },
};

function applyWord(
  host: Host,
  word: string,
): { node?: Partial<VoterNode>; progress?: Partial<MemberProgress> } {
  const known = node_words[word];
  if (known) return { node: known };
  const [what = '', value = ''] = word.split(' ');
  switch (what) {
    case 'silent':
      return { progress: { active: false, silent_for_ms: Number(value) * 1000, stable_for_ms: 0 } };
    case 'behind':
      return { progress: { lag: Number(value), stable_for_ms: 0 } };
    case 'stable':
      return { progress: { stable_for_ms: Number(value) * 1000 } };
    case 'rack':
    case 'power':
      return {};
    default:
      throw new Error(`n${host.id}: what is "${word}"?`);
  }
}

/** @throws Error for a sketch that cannot be read */
export function sketch(text: string, options: SketchOptions = {}): VoterView {
  const [voters_text = '', learners_text = ''] = text.split('|');
  const voters = hosts(voters_text);
  const learners = hosts(learners_text);
  const all = [...voters, ...learners];
  const self = all.find((host) => host.leads);
  if (!self) throw new Error(`nobody leads in "${text}"`);
  const long_s = 100_000;
  const nodes = all
    .filter((host) => !host.words.includes('gone'))
    .map((host): VoterNode => {
      const node: VoterNode = {
        member: host.id,
        name: `n${host.id}`,
        master_capable: true,
        vm_capable: true,
        master_candidate: true,
        offline: false,
        drained: false,
        domains: host.words.filter((word) => /^(rack|power) /.test(word)),
        trouble: '',
      };
      return Object.assign(node, ...host.words.map((word) => applyWord(host, word).node ?? {}));
    });
  const progress = all
    .filter((host) => host !== self)
    .map((host): [MemberId, MemberProgress] => {
      const seen = { active: true, lag: 0, silent_for_ms: 0, stable_for_ms: long_s * 1000 };
      const words = host.words.filter((word) => word !== 'gone');
      return [host.id, Object.assign(seen, ...words.map((word) => applyWord(host, word).progress ?? {}))];
    });
  const ids = (list: readonly Host[]) => list.map((host) => host.id).sort((a, b) => a - b);
  return {
    self: self.id,
    configuration: {
      voters: ids(voters),
      voters_outgoing: options.joint === true ? ids(voters) : [],
      learners: ids(learners),
      learners_next: [],
      auto_leave: false,
    },
    nodes,
    progress: new Map(progress),
    candidate_pool_size: options.pool ?? 5,
    since_change_ms: (options.changed_s ?? long_s) * 1000,
    leads_for_ms: (options.leads_s ?? long_s) * 1000,
    limits: voterLimits(10_000),
  };
}

/** `+n4 -n3` gives and takes votes, `xn3` leaves the group, `lead n2` hands over, `none` waits. */
export function shortly(step: VoterStep): string {
  if (step.type === 'none') return 'none';
  if (step.type === 'hand-over') return `lead n${step.to}`;
  const signs = { 'add-voter': '+', 'add-learner': '-', remove: 'x' } as const;
  return step.changes.map(({ type, id }) => `${signs[type]}n${id}`).join(' ');
}
