/** Failure domains of any depth, by more than one way, and what cannot be. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type FailureDomains, failureDomains, impliesLevel, type RuleError } from './failure-domains.ts';
import { smallCluster } from './test-small-cluster.ts';

function domainsOf(
  nodes: readonly (readonly string[])[],
  tags: readonly string[] = [],
  fields: readonly (readonly string[])[] = [],
): { readonly domains: FailureDomains; readonly errors: readonly RuleError[] } {
  const errors: RuleError[] = [];
  const cluster = smallCluster({
    nodes: nodes.map((own, at) => [`n${at}`, { tags: own, failure_domains: fields[at] ?? [] }]),
    tags,
  });
  return { domains: failureDomains(cluster, errors), errors };
}

/** `level=domain` of each level that a node is known to be in. */
function where({ levels, of, names }: FailureDomains, node: number): string {
  const count = names[0]!.length;
  return levels
    .flatMap((level, at) =>
      of[at * count + node]! < 0 ? [] : [`${level}=${names[at]![of[at * count + node]!]}`],
    )
    .join(' ');
}

describe('failure domains', () => {
  it('a node alone is one', () => {
    const { domains, errors } = domainsOf([[], ['other:tag']]);
    assert.deepEqual([domains.levels, errors], [['node'], []]);
    assert.deepEqual([where(domains, 0), where(domains, 1)], ['node=n0', 'node=n1']);
  });

  it('of any depth, by more than one way', () => {
    const { domains, errors } = domainsOf(
      [['skein:domain:rack:r1'], ['skein:domain:rack:r2'], ['skein:domain:row:9'], []],
      [
        'skein:domain:rack:r1:in:row:1',
        'skein:domain:rack:r1:in:power:f1',
        'skein:domain:rack:r2:in:row:1',
        'skein:domain:row:1:in:room:a',
        'skein:domain:room:a:in:site:x',
        'skein:domain:power:f1:in:site:x',
      ],
    );
    assert.deepEqual(errors, []);
    assert.equal(where(domains, 0), 'node=n0 rack=r1 row=1 room=a site=x power=f1');
    assert.equal(where(domains, 1), 'node=n1 rack=r2 row=1 room=a site=x');
    assert.equal(where(domains, 2), 'node=n2 row=9');
    assert.equal(where(domains, 3), 'node=n3');
  });

  it('what a source says beside the tags counts as well', () => {
    const { domains, errors } = domainsOf([['skein:domain:rack:r1'], []], [], [[], ['room:a', 'rack:r2']]);
    assert.deepEqual(errors, []);
    assert.equal(where(domains, 1), 'node=n1 rack=r2 room=a');
    const { errors: wrong } = domainsOf([[]], [], [['r2']]);
    assert.match(wrong[0]!.text, /node n0 has the failure domain r2: expected LEVEL:DOMAIN/);
  });

  it('refuses a circle, and names all tags of it', () => {
    const circle = ['skein:domain:rack:r1:in:row:1', 'skein:domain:row:1:in:rack:r1'];
    const { domains, errors } = domainsOf(
      [['skein:domain:rack:r1']],
      ['skein:domain:rack:r0:in:rack:r1', ...circle],
    );
    assert.equal(errors.length, 1);
    assert.deepEqual(errors[0]!.tags, circle);
    assert.match(errors[0]!.text, /put rack r1 inside itself/);
    assert.ok(domains.levels.includes('rack'), 'and goes on without');
    const itself = domainsOf([[]], ['skein:domain:row:1:in:row:1']);
    assert.deepEqual(itself.errors[0]!.tags, ['skein:domain:row:1:in:row:1']);
  });

  it('refuses two domains of one level, and names both tags', () => {
    const direct = domainsOf([['skein:domain:rack:r1', 'skein:domain:rack:r2']]);
    assert.deepEqual(direct.errors[0]!.tags, ['skein:domain:rack:r1', 'skein:domain:rack:r2']);
    assert.match(direct.errors[0]!.text, /node n0 is in rack r1 .* and in rack r2 .*: expected one rack/);
    const by_parents = domainsOf(
      [['skein:domain:rack:r1', 'skein:domain:room:b']],
      ['skein:domain:rack:r1:in:room:a'],
    );
    assert.deepEqual(by_parents.errors[0]!.tags, ['skein:domain:rack:r1:in:room:a', 'skein:domain:room:b']);
  });

  it('knows whether one level lies within another', () => {
    const { domains } = domainsOf(
      [['skein:domain:rack:r1'], ['skein:domain:rack:r1'], ['skein:domain:rack:r2'], []],
      ['skein:domain:rack:r1:in:room:a', 'skein:domain:rack:r2:in:room:a'],
    );
    const [node, rack, room] = ['node', 'rack', 'room'].map((level) => domains.levels.indexOf(level)) as [
      number,
      number,
      number,
    ];
    assert.ok(impliesLevel(domains, node, rack));
    assert.ok(impliesLevel(domains, rack, room));
    assert.ok(!impliesLevel(domains, room, rack));
    assert.ok(!impliesLevel(domains, rack, node));
  });
});
