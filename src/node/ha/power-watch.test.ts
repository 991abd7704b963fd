/** Asking whether silent nodes have power, and what an answer is worth. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestEnv, settled } from '../test-env.ts';
import { createPowerWatch, type SilentNode } from './power-watch.ts';

const silent = (name: string, changes: Partial<SilentNode> = {}): SilentNode => ({
  uuid: `uuid-${name}`,
  name,
  boot: 3,
  program: '/oob',
  ...changes,
});

/** Answers are the test's to give. */
function setUp() {
  const env = createTestEnv();
  const said: string[] = [];
  const asked: {
    node: string;
    answer: (powered: boolean) => Promise<void>;
    fail: (why: string) => Promise<void>;
  }[] = [];
  const watch = createPowerWatch({
    now_ms: env.now_ms,
    log: (_level, message) => void said.push(message),
    isPowered: (_program, node) =>
      new Promise((resolve, reject) => {
        asked.push({
          node,
          answer: (powered) => {
            resolve(powered);
            return settled();
          },
          fail: (why) => {
            reject(new Error(why));
            return settled();
          },
        });
      }),
  });
  return { env, watch, asked, said };
}

test('a silent node without power is proven off under the boot that was logged when it was asked', async () => {
  const { watch, asked } = setUp();
  watch.look([silent('n2'), silent('n3', { program: '' })]);
  assert.deepEqual(
    asked.map(({ node }) => node),
    ['n2'],
    'who has no program is not asked',
  );
  assert.equal(watch.proofs().size, 0);
  await asked[0]!.answer(false);
  assert.deepEqual(watch.proofs().get('uuid-n2'), { boot: 3, text: '/oob says that n2 has no power' });
  watch.look([silent('n2')]);
  assert.equal(asked.length, 1, 'once is enough');
});

test('what was said of a node that is heard again, or has another boot, is forgotten', async () => {
  const { watch, asked } = setUp();
  watch.look([silent('n2')]);
  await asked[0]!.answer(false);
  watch.look([]);
  assert.equal(watch.proofs().size, 0);
  watch.look([silent('n2')]);
  assert.equal(watch.proofs().size, 0, 'silent again, it is asked again');
  await asked[1]!.answer(false);
  watch.look([silent('n2', { boot: 4 })]);
  assert.equal(watch.proofs().size, 0);
});

test('an answer that comes after the node was heard counts for nothing', async () => {
  const { watch, asked } = setUp();
  watch.look([silent('n2')]);
  watch.look([]);
  await asked[0]!.answer(false);
  watch.look([silent('n2')]);
  assert.equal(watch.proofs().size, 0);
});

test('one that has power, or does not answer, is asked again, less and less often, and complained of once', async () => {
  const { env, watch, asked, said } = setUp();
  let at = 0;
  for (let passed_ms = 0; passed_ms < 120_000; passed_ms += 250) {
    watch.look([silent('n2')]);
    for (; at < asked.length; at += 1)
      await (at % 2 === 0 ? asked[at]!.fail('no route') : asked[at]!.answer(true));
    await env.advance(250);
  }
  assert.ok(asked.length >= 6 && asked.length <= 10, `${asked.length} times in two minutes`);
  assert.equal(said.length, 1);
  assert.equal(watch.proofs().size, 0);
});

test('no more than eight are asked at once, and one that hangs keeps nobody from it for good', async () => {
  const { watch, asked } = setUp();
  const many = Array.from({ length: 20 }, (_, nth) => silent(`n${nth}`));
  watch.look(many);
  assert.equal(asked.length, 8);
  await asked[0]!.answer(false);
  watch.look(many);
  assert.equal(asked.length, 9);
  assert.ok(asked.every(({ node }, nth) => asked.findIndex((one) => one.node === node) === nth));
});
