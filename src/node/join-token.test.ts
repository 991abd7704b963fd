import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createJoinToken,
  hashJoinSecret,
  JoinTokenError,
  joinSecretMatches,
  parseJoinToken,
} from './join-token.ts';

const input = {
  id: 't-1',
  cluster_name: 'skein.example.org',
  peers: [{ peer_id: '12D3KooWExample', addresses: ['/ip4/192.0.2.1/tcp/1811'] }],
  expires: 2000,
  secret: new Uint8Array(32).fill(7),
};

function code(expected: JoinTokenError['code'], pattern: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof JoinTokenError, String(error));
    assert.equal(error.code, expected, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

describe('join token', () => {
  const { text, secret_hash } = createJoinToken(input);

  it('comes back as it was made, whatever the terminal did to its lines', () => {
    const token = parseJoinToken(text, 1999);
    assert.deepEqual({ ...token, secret: '' }, { ...input, secret: '' });
    assert.deepEqual(parseJoinToken(` ${text.slice(0, 40)}\r\n  ${text.slice(40)}\n`, 1999), token);
    assert.equal(secret_hash, hashJoinSecret(token.secret));
    assert.ok(joinSecretMatches(token.secret, secret_hash));
    assert.ok(!joinSecretMatches(`${token.secret.slice(1)}A`, secret_hash));
    assert.ok(!joinSecretMatches(token.secret, 'abc'));
    assert.ok(!secret_hash.includes(token.secret));
  });

  it('says what is wrong with one that is not whole', () => {
    assert.throws(() => parseJoinToken('', 0), code('wrong-prefix', /skein-join-1:/));
    assert.throws(() => parseJoinToken(`x${text}`, 0), code('wrong-prefix', /xskein/));
    assert.throws(() => parseJoinToken('skein-join-1:', 0), code('truncated', /Copy all/));
    for (let length = 13; length < text.length; length++) {
      assert.throws(
        () => parseJoinToken(text.slice(0, length), 0),
        code('truncated', /Copy all/),
        `cut at ${length}`,
      );
    }
    assert.throws(() => parseJoinToken(`${text}!`, 0), code('malformed', /"!"/));
    assert.throws(() => parseJoinToken(text + 'A'.repeat(20_000), 0), code('malformed', /characters/));
    const at = 60;
    const changed = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    assert.throws(() => parseJoinToken(changed, 0), code('checksum', /checksum/));
    assert.throws(() => parseJoinToken(text, 2000), code('expired', /1970-01-01T00:00:02/));
  });

  it('refuses to make one that could not be read', () => {
    assert.throws(
      () => createJoinToken({ ...input, secret: new Uint8Array(3) }),
      code('malformed', /3 bytes/),
    );
    assert.throws(() => createJoinToken({ ...input, peers: [] }), code('malformed', /peers/));
    assert.throws(() => createJoinToken({ ...input, expires: 1.5 }), code('malformed', /expires/));
    assert.throws(() => createJoinToken({ ...input, cluster_name: '' }), code('malformed', /cluster_name/));
  });
});
