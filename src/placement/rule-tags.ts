/**
 * The grammar of Skein's placement rules: tags that begin with `skein:`, in the style of Ganeti's `htools:` ones. What
 * they mean is in docs/design/placement-rules.md. A tag is read on its own here; whether the things that it names exist,
 * and whether tags contradict each other, is for `rule-model` and `rule-conflicts`.
 */

export type TaggedObject = 'cluster' | 'group' | 'node' | 'instance';

/** `must` is never broken by a placement; `should` costs. */
export type Strength = 'must' | 'should';

export type RuleTag =
  | {
      readonly kind: 'affinity' | 'anti-affinity';
      readonly strength: Strength;
      readonly label: string;
      /** `node`, or a level of failure domains. */
      readonly level: string;
    }
  | { readonly kind: 'label'; readonly label: string }
  | { readonly kind: 'node'; readonly strength: Strength; readonly node: string }
  | {
      readonly kind: 'within';
      readonly strength: Strength;
      readonly level: string;
      readonly domain: string;
    }
  | { readonly kind: 'spread'; readonly strength: Strength; readonly level: string }
  | { readonly kind: 'exclusive'; readonly what: 'cpu' | 'memory' | 'numa' }
  | { readonly kind: 'domain'; readonly level: string; readonly domain: string }
  | { readonly kind: 'nested'; readonly inner: DomainName; readonly outer: DomainName }
  | { readonly kind: 'threads-per-core' | 'numa-nodes'; readonly count: number };

export interface DomainName {
  readonly level: string;
  readonly domain: string;
}

export type ReadTag =
  | { readonly rule: RuleTag }
  /** One of ours, but not as it should be: what was expected. */
  | { readonly wrong: string }
  /** Begins with `skein:`, and nobody here knows what it is for. */
  | { readonly unknown: true };

interface Family {
  readonly on: readonly TaggedObject[];
  /** As it is shown to people. */
  readonly grammar: string;
  /** @param parts what follows the name of the family; null: not of this grammar */
  read(parts: readonly string[], on: TaggedObject): RuleTag | null;
}

const strengths: readonly Strength[] = ['must', 'should'];

const pairFamily = (kind: 'affinity' | 'anti-affinity'): Family => ({
  on: ['instance'],
  grammar: `skein:${kind}:must|should:LABEL[@LEVEL]`,
  read: (parts) => {
    const strength = strengthOf(parts[0]);
    const [label, level = 'node', ...more] = (parts[1] ?? '').split('@');
    if (parts.length !== 2 || strength === null || !isWord(label) || !isWord(level) || more.length > 0)
      return null;
    return { kind, strength, label, level };
  },
});

const countFamily = (kind: 'threads-per-core' | 'numa-nodes', most: number): Family => ({
  on: ['node'],
  grammar: `skein:${kind}:N, N from 1 to ${most}`,
  read: (parts) => {
    const count = Number(parts[0]);
    if (parts.length !== 1 || !/^[1-9]\d*$/.test(parts[0]!) || count > most) return null;
    return { kind, count };
  },
});

const exclusiveFamily = (what: 'cpu' | 'memory' | 'numa'): Family => ({
  on: ['instance'],
  grammar: `skein:${what}:exclusive`,
  read: (parts) => (parts.length === 1 && parts[0] === 'exclusive' ? { kind: 'exclusive', what } : null),
});

const families: ReadonlyMap<string, Family> = new Map([
  ['affinity', pairFamily('affinity')],
  ['anti-affinity', pairFamily('anti-affinity')],
  [
    'label',
    {
      on: ['instance'],
      grammar: 'skein:label:LABEL',
      read: (parts) =>
        parts.length === 1 && isWord(parts[0]) && !parts[0].includes('@')
          ? { kind: 'label', label: parts[0] }
          : null,
    },
  ],
  [
    'node',
    {
      on: ['instance'],
      grammar: 'skein:node:must|should:NODE',
      read: (parts) => {
        const strength = strengthOf(parts[0]);
        const node = parts[1];
        return parts.length === 2 && strength !== null && isWord(node)
          ? { kind: 'node', strength, node }
          : null;
      },
    },
  ],
  [
    'within',
    {
      on: ['instance'],
      grammar: 'skein:within:must|should:LEVEL:DOMAIN',
      read: (parts) => {
        const strength = strengthOf(parts[0]);
        const named = domainName(parts.slice(1));
        return strength !== null && named !== null ? { kind: 'within', strength, ...named } : null;
      },
    },
  ],
  [
    'spread',
    {
      on: ['instance', 'group', 'cluster'],
      grammar: 'skein:spread:must|should:LEVEL',
      read: (parts) => {
        const strength = strengthOf(parts[0]);
        const level = parts[1];
        return parts.length === 2 && strength !== null && isWord(level)
          ? { kind: 'spread', strength, level }
          : null;
      },
    },
  ],
  ['cpu', exclusiveFamily('cpu')],
  ['memory', exclusiveFamily('memory')],
  ['numa', exclusiveFamily('numa')],
  [
    'domain',
    {
      on: ['node', 'cluster'],
      grammar:
        'skein:domain:LEVEL:DOMAIN on a node, skein:domain:LEVEL:DOMAIN:in:LEVEL:DOMAIN on the cluster',
      read: (parts, on) => {
        const inner = domainName(parts.slice(0, 2));
        if (inner === null) return null;
        if (on === 'node') return parts.length === 2 ? { kind: 'domain', ...inner } : null;
        const outer = parts[2] === 'in' ? domainName(parts.slice(3)) : null;
        return outer === null ? null : { kind: 'nested', inner, outer };
      },
    },
  ],
  ['threads-per-core', countFamily('threads-per-core', 64)],
  ['numa-nodes', countFamily('numa-nodes', 1024)],
]);

/** null: not one of Skein's tags at all. */
export function readRuleTag(tag: string, on: TaggedObject): ReadTag | null {
  if (!tag.startsWith('skein:')) return null;
  const [, name = '', ...parts] = tag.split(':');
  const family = families.get(name);
  if (family === undefined) return { unknown: true };
  if (!family.on.includes(on))
    return { wrong: `${family.grammar} on ${family.on.join(' or ')}, not on ${on}` };
  const rule = family.read(parts, on);
  return rule === null ? { wrong: family.grammar } : { rule };
}

/** `LEVEL:DOMAIN`, as tags and {@link PlacementNode.failure_domains} name a failure domain. */
export function domainName(parts: readonly string[]): DomainName | null {
  const [level, domain] = parts;
  return parts.length === 2 && isWord(level) && level !== 'node' && isWord(domain) ? { level, domain } : null;
}

function strengthOf(text: string | undefined): Strength | null {
  return strengths.find((strength) => strength === text) ?? null;
}

function isWord(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}
