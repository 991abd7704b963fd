/** The grammar of the rules' tags. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRuleTag, type TaggedObject } from './rule-tags.ts';

const good: readonly (readonly [string, TaggedObject, object])[] = [
  [
    'skein:affinity:must:web',
    'instance',
    { kind: 'affinity', strength: 'must', label: 'web', level: 'node' },
  ],
  [
    'skein:anti-affinity:should:web@rack',
    'instance',
    { kind: 'anti-affinity', strength: 'should', label: 'web', level: 'rack' },
  ],
  ['skein:label:web', 'instance', { kind: 'label', label: 'web' }],
  [
    'skein:node:should:n1.example.com',
    'instance',
    { kind: 'node', strength: 'should', node: 'n1.example.com' },
  ],
  ['skein:within:must:room:a', 'instance', { kind: 'within', strength: 'must', level: 'room', domain: 'a' }],
  ['skein:spread:must:rack', 'instance', { kind: 'spread', strength: 'must', level: 'rack' }],
  ['skein:spread:should:rack', 'group', { kind: 'spread', strength: 'should', level: 'rack' }],
  ['skein:spread:should:rack', 'cluster', { kind: 'spread', strength: 'should', level: 'rack' }],
  ['skein:cpu:exclusive', 'instance', { kind: 'exclusive', what: 'cpu' }],
  ['skein:memory:exclusive', 'instance', { kind: 'exclusive', what: 'memory' }],
  ['skein:numa:exclusive', 'instance', { kind: 'exclusive', what: 'numa' }],
  ['skein:domain:rack:r1', 'node', { kind: 'domain', level: 'rack', domain: 'r1' }],
  [
    'skein:domain:rack:r1:in:room:a',
    'cluster',
    { kind: 'nested', inner: { level: 'rack', domain: 'r1' }, outer: { level: 'room', domain: 'a' } },
  ],
  ['skein:threads-per-core:2', 'node', { kind: 'threads-per-core', count: 2 }],
  ['skein:numa-nodes:4', 'node', { kind: 'numa-nodes', count: 4 }],
];

const wrong: readonly (readonly [string, TaggedObject, RegExp])[] = [
  ['skein:affinity:maybe:web', 'instance', /must\|should:LABEL/],
  ['skein:affinity:must', 'instance', /LABEL/],
  ['skein:affinity:must:', 'instance', /LABEL/],
  ['skein:affinity:must:web@', 'instance', /@LEVEL/],
  ['skein:affinity:must:@rack', 'instance', /LABEL/],
  ['skein:affinity:must:web@rack@room', 'instance', /LABEL/],
  ['skein:affinity:must:web:db', 'instance', /LABEL/],
  ['skein:affinity:must:web', 'node', /on instance, not on node/],
  ['skein:label:web@rack', 'instance', /skein:label:LABEL/],
  ['skein:node:must', 'instance', /NODE/],
  ['skein:within:must:node:n1', 'instance', /LEVEL:DOMAIN/],
  ['skein:within:must:rack', 'instance', /LEVEL:DOMAIN/],
  ['skein:spread:must', 'cluster', /LEVEL/],
  ['skein:spread:must:rack', 'node', /on instance or group or cluster/],
  ['skein:cpu:mine', 'instance', /skein:cpu:exclusive/],
  ['skein:domain:rack', 'node', /LEVEL:DOMAIN on a node/],
  ['skein:domain:node:n1', 'node', /LEVEL:DOMAIN/],
  ['skein:domain:rack:r1:in:room:a', 'node', /on the cluster/],
  ['skein:domain:rack:r1', 'cluster', /on the cluster/],
  ['skein:domain:rack:r1:on:room:a', 'cluster', /:in:/],
  ['skein:threads-per-core:0', 'node', /from 1 to 64/],
  ['skein:threads-per-core:2.5', 'node', /N/],
  ['skein:numa-nodes:1025', 'node', /1024/],
];

describe('tags of rules', () => {
  for (const [tag, on, rule] of good)
    it(`${on}: ${tag}`, () => assert.deepEqual(readRuleTag(tag, on), { rule }));
  for (const [tag, on, expected] of wrong) {
    it(`refused on ${on}: ${tag}`, () => {
      const read = readRuleTag(tag, on);
      assert.ok(read !== null && 'wrong' in read);
      assert.match(read.wrong, expected);
    });
  }
  it('knows its own from others', () => {
    assert.equal(readRuleTag('htools:iextags:web', 'cluster'), null);
    assert.equal(readRuleTag('skeins:affinity:must:web', 'instance'), null);
    assert.deepEqual(readRuleTag('skein:afinity:must:web', 'instance'), { unknown: true });
    assert.deepEqual(readRuleTag('skein:', 'instance'), { unknown: true });
  });
});
